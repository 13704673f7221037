package gitlab

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	webhook "github.com/go-playground/webhooks/v6/gitlab"

	"github.com/millrace-ci/millrace/triggers"
)

// system is the kind of an administrator's hook: what happened stands in its body only.
const system = "system"

// parsed are the kinds that Parse can make an event of, in the words of a body's object_kind, and what their parser
// takes each for: a tag's push has the fields of a branch's.
var parsed = map[string]webhook.Event{
	"push":          webhook.PushEvents,
	"tag_push":      webhook.PushEvents,
	"merge_request": webhook.MergeRequestEvents,
}

// Heading implements triggers.Source. The kind is the event's header in the words of object_kind: 'Tag Push Hook' is
// tag_push. GitLab does not say which hook sent a delivery: X-Gitlab-Webhook-UUID is another one for each request, by
// its app/services/web_hook_service.rb (build_headers), whatever its documentation seems to say.
func (f *Forge) Heading(h http.Header) (triggers.Heading, error) {
	if err := triggers.CheckSender(h, f.cfg.Name, "gitlab"); err != nil {
		return triggers.Heading{}, err
	}
	heading := triggers.Heading{
		Kind: strings.ReplaceAll(strings.ToLower(strings.TrimSuffix(h.Get("X-Gitlab-Event"), " Hook")), " ", "_"),
		Key:  cmp.Or(h.Get("Idempotency-Key"), h.Get("X-Gitlab-Event-UUID")), // GitLab before 17.4 has only the latter.
	}
	if err := heading.Check("X-Gitlab-Event", "Idempotency-Key"); err != nil {
		return triggers.Heading{}, err
	}
	heading.Acts = heading.Kind == system || parsed[heading.Kind] != ""
	return heading, nil
}

// Parse implements triggers.Source.
func (f *Forge) Parse(d triggers.Delivery) (triggers.Event, error) {
	if err := triggers.CheckShape(d.Body); err != nil {
		return triggers.Event{}, err
	}
	kind, err := kindOf(d)
	if err != nil {
		return triggers.Event{}, err
	}
	payload, err := f.decode(parsed[kind], d.Body)
	if err != nil {
		return triggers.Event{}, fmt.Errorf("%w: %s: %w", triggers.ErrPayload, kind, err)
	}
	var e triggers.Event
	switch p := payload.(type) {
	case webhook.PushEventPayload:
		e, err = push(kind, p)
	case webhook.MergeRequestEventPayload:
		e, err = mergeRequest(p, d.Body)
	}
	if err != nil {
		return triggers.Event{}, fmt.Errorf("%s: %w", kind, err)
	}
	return d.Seal(e, doublestar.MatchUnvalidated)
}

// kindOf tells what a delivery is of. Header and body must agree on it, since the header is not signed; of an
// administrator's hook it is the body's word alone.
func kindOf(d triggers.Delivery) (string, error) {
	if d.Kind != system && parsed[d.Kind] == "" {
		return "", fmt.Errorf("%w: deliveries of kind %q start nothing", triggers.ErrIgnored, d.Kind)
	}
	var said struct {
		ObjectKind string `json:"object_kind"`
		EventName  string `json:"event_name"` // System hooks before GitLab 10 have only this.
	}
	if err := json.Unmarshal(d.Body, &said); err != nil {
		return "", fmt.Errorf("%w: %w", triggers.ErrPayload, err)
	}
	kind := cmp.Or(said.ObjectKind, said.EventName)
	switch {
	case kind == "", d.Kind != system && d.Kind != kind:
		return "", fmt.Errorf("%w: its header says %s, its object_kind %.80q", triggers.ErrPayload, d.Kind, kind)
	case parsed[kind] == "":
		return "", fmt.Errorf("%w: system hooks of kind %.80q start nothing", triggers.ErrIgnored, kind)
	}
	return kind, nil
}

// noTime finds a time that is an empty string, which GitLab sends for none at times and their parser does not take. It
// cannot match within a string: a quote in there has a backslash before it.
var noTime = regexp.MustCompile(`"(\w+_at|timestamp|due_date)"\s*:\s*""`)

// decode is body in their struct.
func (f *Forge) decode(event webhook.Event, body []byte) (any, error) {
	parse := func(body []byte) (any, error) {
		return f.parser.Parse(&http.Request{
			Method: http.MethodPost,
			Header: http.Header{"X-Gitlab-Event": {string(event)}},
			Body:   io.NopCloser(bytes.NewReader(body)),
		}, event)
	}
	payload, err := parse(body)
	if err != nil && noTime.Match(body) {
		payload, err = parse(noTime.ReplaceAll(body, []byte(`"$1":null`)))
	}
	return payload, err
}
