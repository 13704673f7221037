package reporttest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/report/reporttest"
)

// plain is the least that keeps the laws: what package report has for everybody.
type plain struct {
	address, token string
	client         *http.Client
}

func (p plain) Notify(ctx context.Context, n report.Notice) (report.Answer, error) {
	if p.token == "" {
		return report.Answer{}, report.Permanent(errors.New("no token"))
	}
	answer, err := report.SetStatus(ctx, p.client, p.address+"/statuses", http.Header{"Authorization": {"Bearer " + p.token}}, n)
	if err != nil {
		return answer, fmt.Errorf("tell of %s: %w", n.Repo, report.Advise(err, map[int]string{http.StatusForbidden: "ask for more"}))
	}
	return answer, nil
}

func TestLaws(t *testing.T) {
	kit := reporttest.Kit{
		New: func(address, token string, client *http.Client) (report.Notifier, error) {
			return plain{address, token, report.Client(client)}, nil
		},
		Notice:     report.Notice{Repo: "shop/api", State: report.Pending, Context: "c", Text: "waiting"},
		Advice:     map[int]string{401: "make a new one", 403: "ask for more", 307: "url", 308: "url", 301: "url", 418: "teapot"},
		Impossible: map[string]func(*report.Notice){"state": func(n *report.Notice) { n.State = "odd" }},
	}
	reporttest.Run(t, kit)
	reporttest.RunStatus(t, kit, reporttest.Status{
		Path: "/statuses", Auth: "Bearer " + reporttest.Token, Body: map[string]any{"context": "c", "description": "waiting"}, MaxText: 140,
		Words: map[report.State]string{
			report.Pending: "pending", report.Running: "pending", report.Succeeded: "success", report.Failed: "failure",
			report.Broken: "error", report.Canceled: "error", report.NotAffected: "success",
			report.Skipped: "success", report.Ignored: "success",
		},
	})
}
