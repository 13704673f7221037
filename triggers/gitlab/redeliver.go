package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// maxPages bounds the pages of 20 deliveries, which is all that GitLab gives at once, that are looked at for each hook.
const maxPages = 25

// Redeliver asks GitLab, from 17.4, to send again what it sent to our hooks of repo since then and what never arrived,
// and tells how many it asked for, also with an error. They come with the same Idempotency-Key, so that asking twice
// does no harm, before it returns. GitLab remembers deliveries for 7 days, and sends 5 a minute again: then the error
// says how long to wait. Who calls again with the same since, until nothing is asked for, misses nothing: what fails 5
// times is left. Hooks of groups and of the whole GitLab are not looked at. Errors are those of Notify; it makes one
// request for the hooks, one for each 20 deliveries and one for each that it asks for.
func (f *Forge) Redeliver(ctx context.Context, repo string, since time.Time) (asked int, err error) {
	if err := errors.Join(triggers.CheckName(repo), f.cfg.NeedToken()); err != nil {
		return 0, report.Permanent(fmt.Errorf("redeliver: %w", err))
	}
	if asked, err = f.redeliver(ctx, f.project(repo).JoinPath("hooks"), since); err != nil {
		return asked, fmt.Errorf("redeliver what %s missed of %s: %w", f.cfg.Name, repo, report.Advise(err, hookAdvice))
	}
	return asked, nil
}

// redeliver asks for what our hooks below address missed. A refusal for good of one delivery does not keep it from the
// others.
func (f *Forge) redeliver(ctx context.Context, address *url.URL, since time.Time) (asked int, refused error) {
	var hooks []struct {
		ID  int64
		URL string
	}
	if _, err := report.Get(ctx, f.client, address.String()+"?per_page=100", f.header(), &hooks); err != nil {
		return 0, err
	}
	for _, h := range hooks {
		if !f.cfg.Hears(h.URL) {
			continue
		}
		events := address.JoinPath(strconv.FormatInt(h.ID, 10), "events")
		sendings, err := f.sendings(ctx, events, since)
		if err != nil {
			return asked, err
		}
		for _, s := range triggers.Missed(sendings) {
			_, err := report.Post(ctx, f.client, events.JoinPath(strconv.FormatInt(s.ID, 10), "resend").String(), f.header(), struct{}{})
			switch {
			case err == nil:
				asked++
			case report.IsPermanent(err):
				refused = err
			default:
				return asked, err
			}
		}
	}
	return asked, refused
}

// sendings lists what was sent to one hook since then, newest first, or as far back as it goes where GitLab tells no
// times.
func (f *Forge) sendings(ctx context.Context, events *url.URL, since time.Time) (all []triggers.Sending, err error) {
	for number := 1; number <= maxPages; number++ {
		var page []struct {
			ID        int64
			Headers   map[string]string `json:"request_headers"`
			Status    string            `json:"response_status"` // a number, or 'internal error' where no answer came
			CreatedAt time.Time         `json:"created_at"`
		}
		header, err := report.Get(ctx, f.client, fmt.Sprintf("%s?per_page=20&page=%d", events, number), f.header(), &page)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if !e.CreatedAt.IsZero() && e.CreatedAt.Before(since) {
				return all, nil
			}
			sent := http.Header{}
			for name, value := range e.Headers {
				sent.Set(name, value)
			}
			heading, err := f.Heading(sent)
			if err != nil {
				continue // Nothing that our door would take.
			}
			status, _ := strconv.Atoi(e.Status)
			all = append(all, triggers.Sending{ID: e.ID, Key: heading.Key, Acts: heading.Acts, Arrived: status/100 == 2, At: e.CreatedAt})
		}
		if header.Get("X-Next-Page") == "" {
			break
		}
	}
	return all, nil
}

// hookAdvice is what to do about a refusal.
var hookAdvice = map[int]string{
	http.StatusForbidden:           hookRights,
	http.StatusNotFound:            hookRights,
	http.StatusUnprocessableEntity: "GitLab does not send this again; is the hook switched off, or was its address changed?",
}

const hookRights = "the token may not see the project's hooks: give it the scope api and the role Maintainer; GitLab can do this from 17.4"
