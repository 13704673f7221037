package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// Bounds of one Redeliver: pages of 100 deliveries that are looked at for each hook, and deliveries that are asked for,
// below what GitHub's secondary limits take in a minute.
const maxPages, maxAsked = 10, 50

// Redeliver asks GitHub to send again what it sent to our hooks of repo since then and what never arrived, at most 50
// deliveries, and tells how many it asked for, also with an error. They come with the same X-GitHub-Delivery, so that
// asking twice does no harm, and soon after, not before it returns. GitHub remembers deliveries for 3 days. Who calls
// again with the same since, until nothing is asked for, misses nothing: what fails 5 times is left. Hooks of
// organizations and apps are not looked at. Errors are those of Notify; it makes one request for the hooks, one for
// each 100 deliveries and one for each that it asks for.
func (f *Forge) Redeliver(ctx context.Context, repo string, since time.Time) (asked int, err error) {
	if err := errors.Join(triggers.CheckFlatName(repo), f.cfg.NeedToken()); err != nil {
		return 0, report.Permanent(fmt.Errorf("redeliver: %w", err))
	}
	if asked, err = f.redeliver(ctx, f.api.JoinPath("repos", repo, "hooks"), since); err != nil {
		return asked, fmt.Errorf("redeliver what %s missed of %s: %w", f.cfg.Name, repo, report.Advise(err, hookAdvice))
	}
	return asked, nil
}

// redeliver asks for what our hooks below address missed. A refusal for good of one delivery does not keep it from the
// others.
func (f *Forge) redeliver(ctx context.Context, address *url.URL, since time.Time) (asked int, refused error) {
	var hooks []struct {
		ID     int64
		Config struct{ URL string }
	}
	if _, err := report.Get(ctx, f.client, address.String()+"?per_page=100", f.header(), &hooks); err != nil {
		return 0, err
	}
	for _, h := range hooks {
		if !f.cfg.Hears(h.Config.URL) {
			continue
		}
		deliveries := address.JoinPath(strconv.FormatInt(h.ID, 10), "deliveries")
		sendings, err := f.sendings(ctx, deliveries, since)
		if err != nil {
			return asked, err
		}
		for _, s := range triggers.Missed(sendings) {
			if asked == maxAsked {
				return asked, refused
			}
			_, err := report.Post(ctx, f.client, deliveries.JoinPath(strconv.FormatInt(s.ID, 10), "attempts").String(), f.header(), struct{}{})
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

// sendings lists what was sent to one hook since then, newest first.
func (f *Forge) sendings(ctx context.Context, deliveries *url.URL, since time.Time) (all []triggers.Sending, err error) {
	query := url.Values{"per_page": {"100"}}
	for range maxPages {
		var page []struct {
			ID          int64
			GUID        string
			Event       string
			StatusCode  int       `json:"status_code"`
			DeliveredAt time.Time `json:"delivered_at"`
		}
		header, err := report.Get(ctx, f.client, deliveries.String()+"?"+query.Encode(), f.header(), &page)
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			if d.DeliveredAt.Before(since) {
				return all, nil
			}
			all = append(all, triggers.Sending{ID: d.ID, Key: d.GUID, Acts: acts(d.Event), Arrived: d.StatusCode/100 == 2, At: d.DeliveredAt})
		}
		cursor := nextCursor(header)
		if cursor == "" {
			break
		}
		query.Set("cursor", cursor)
	}
	return all, nil
}

// nextCursor is where the next page of a list begins, by its Link header. The rest of that address is not used: the
// token goes nowhere else.
func nextCursor(h http.Header) string {
	for link := range strings.SplitSeq(h.Get("Link"), ",") {
		address, rel, _ := strings.Cut(link, ";")
		if u, err := url.Parse(strings.Trim(address, " <>")); err == nil && strings.Contains(rel, `rel="next"`) {
			return u.Query().Get("cursor")
		}
	}
	return ""
}

// hookAdvice is what to do about a refusal.
var hookAdvice = map[int]string{
	http.StatusForbidden: hookRights,
	http.StatusNotFound:  hookRights,
}

const hookRights = "the token may not see the repository's hooks: give it 'Webhooks: write' (fine-grained) or the scope admin:repo_hook"
