// Package door is the HTTP door that forges knock at: it bounds a delivery, has it verified, names its kind from the
// headers, keeps it and answers. The server mounts a Door at /hooks/{forge}; the door calls the forge's Source, the
// inbox and, behind the answer, the plan queue. It never parses a body, and speaks to no forge.
package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// DefaultMaxBody is the largest payload that GitHub sends, in bytes.
const DefaultMaxBody = 25 << 20

// keepWithin bounds the wait for the inbox: of all forges Gitea hangs up first, after 5 s.
const keepWithin = 4 * time.Second

// Config is what a door needs.
type Config struct {
	// Forges are the Sources by their configured names, which are the last part of the hooks' addresses.
	Forges map[string]triggers.Source
	// Inbox keeps what is accepted. What it cannot keep is answered 503.
	Inbox inbox.Inbox
	// Plan puts kept deliveries in line to be planned. Run calls it, never a request.
	Plan func(ctx context.Context, ids ...string) error
	// MaxBody is the longest body in bytes that is read. Default: DefaultMaxBody.
	MaxBody int64
	// MaxHeld bounds the bytes of all large bodies (over 64 KiB) that are held at a time. Default: 8 MaxBody.
	MaxHeld int64
	// URL is the public address of this Millrace. A delivery's page is below it, at deliveries/ID.
	URL string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Metrics counts the answers.
	Metrics *metrics.Door
	// Log hears of what goes wrong here and of what was accepted, and at debug level of every other answer.
	Log *slog.Logger
}

// Validate reports all that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	missing := func(what string, is bool) {
		if is {
			errs = append(errs, fmt.Errorf("door: no %s", what))
		}
	}
	missing("inbox", c.Inbox == nil)
	missing("plan queue", c.Plan == nil)
	missing("metrics", c.Metrics == nil)
	missing("logger", c.Log == nil)
	for name, f := range c.Forges {
		missing(fmt.Sprintf("source for forge %q", name), f == nil)
	}
	if c.MaxBody < 0 || c.MaxHeld < 0 {
		errs = append(errs, errors.New("door: the bounds of bodies are negative"))
	}
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, fmt.Errorf("door: public address %q is no http or https URL", c.URL))
	}
	return errors.Join(errs...)
}

// Door is an http.Handler for requests whose path value "forge" names the forge. See also Run.
type Door struct {
	cfg  Config
	page string              // what the address of a delivery's page begins with
	held *semaphore.Weighted // bytes of large bodies
	kept chan string         // ids on their way to the plan queue
	left atomic.Int64        // how many of them were left to the reaper
}

// New returns the door that cfg describes. It starts nothing.
func New(cfg Config) (*Door, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.MaxHeld == 0 {
		cfg.MaxHeld = 8 * cfg.MaxBody
	}
	cfg.MaxHeld = max(cfg.MaxHeld, cfg.MaxBody) // so that one always fits
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Door{
		cfg:  cfg,
		page: strings.TrimRight(cfg.URL, "/") + "/deliveries/",
		held: semaphore.NewWeighted(cfg.MaxHeld),
		kept: make(chan string, waiting),
	}, nil
}

// ServeHTTP answers one delivery. A 202 means that the inbox has it.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("forge")
	forge, ok := d.cfg.Forges[name]
	if !ok {
		refuse(http.StatusNotFound, "no forge is configured under this name: a hook's address ends in a name from the configuration's forges").write(w)
		return
	}
	start := d.cfg.Now()
	a := d.answer(w, r, hook{name, forge})
	a.write(w)
	d.cfg.Metrics.Answered(name, a.Status, d.cfg.Now().Sub(start))
	level := slog.LevelDebug // strangers can make refusals by the thousand
	if a.Status == accepted {
		level = slog.LevelInfo
	}
	d.cfg.Log.LogAttrs(r.Context(), level, "delivery answered", slog.String("forge", name), slog.Int("code", a.code),
		slog.String("delivery", a.Delivery), slog.String("status", a.Status), slog.String("reason", a.Reason))
}

// hook is a configured forge as the door knows it.
type hook struct {
	name string
	triggers.Source
}

// answer reads, verifies and keeps, in the order of what costs a stranger most and us least.
func (d *Door) answer(w http.ResponseWriter, r *http.Request, from hook) answer {
	if r.Method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, "a forge delivers by POST: enter this address as a webhook there")
	}
	raw, held, refused := d.read(w, r)
	if held > 0 {
		defer d.held.Release(held)
	}
	if refused != nil {
		return *refused
	}
	scope, err := from.Verify(r.Header, claim(r), raw)
	if err != nil {
		return refuse(http.StatusUnauthorized, err.Error())
	}
	delivery, err := d.delivery(r.Header, from, raw)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	delivery.Scope = scope
	return d.keep(r.Context(), delivery)
}

// claim is the repository id that the hook's address names.
func claim(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	return r.URL.Query().Get("repository")
}

// delivery makes the Delivery, without its scope, of a verified request. Of a kind that is not acted on it has the
// headers only. The errors are for the sender.
func (d *Door) delivery(h http.Header, from hook, raw []byte) (triggers.Delivery, error) {
	heading, err := from.Heading(h)
	if err != nil {
		return triggers.Delivery{}, err
	}
	if heading.Key == "" || heading.Kind == "" {
		return triggers.Delivery{}, errors.New("the headers do not name the event and the delivery")
	}
	body, err := decode(h, raw)
	if err != nil {
		return triggers.Delivery{}, err
	}
	header, err := keptHeader(h)
	if err != nil {
		return triggers.Delivery{}, err
	}
	why := ""
	if !heading.Acts {
		body, why = nil, fmt.Sprintf("no pipeline can ask for events of the kind %q: only the headers were kept", heading.Kind)
	}
	return triggers.Delivery{
		ID: triggers.DeliveryID(from.name, heading.Key), Forge: from.name, Key: heading.Key, Kind: heading.Kind, Hook: heading.Hook,
		Header: header, Body: body, Ignored: why, At: d.cfg.Now(),
	}, nil
}

// keep persists, and only then says so.
func (d *Door) keep(ctx context.Context, delivery triggers.Delivery) answer {
	ctx, cancel := context.WithTimeout(ctx, keepWithin)
	defer cancel()
	receipt, err := d.cfg.Inbox.Keep(ctx, delivery)
	if err != nil {
		d.cfg.Log.Error("delivery not kept", "forge", delivery.Forge, "delivery", delivery.ID, "err", err)
		return fail("the delivery could not be kept: deliver it again in a while")
	}
	a := answer{code: http.StatusAccepted, Delivery: receipt.ID, Status: accepted, URL: d.page + receipt.ID}
	switch {
	case delivery.Ignored != "":
		a.Status, a.Reason = ignored, delivery.Ignored
	case receipt.Duplicate:
		a.Status = duplicate
		a.Reason = fmt.Sprintf("this delivery was accepted before, as %s, and starts nothing again; to run it all the same: millrace replay %s", receipt.ID, receipt.ID)
	default:
		d.forward(receipt.ID)
	}
	return a
}
