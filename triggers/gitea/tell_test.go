package gitea_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/report/reporttest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/gitea"
	"github.com/millrace-ci/millrace/triggers/triggertest"
)

var notice = report.Notice{
	Repo: "shop/api", Commit: strings.Repeat("a", 40), Context: "millrace/ci", State: report.Pending, Text: "waiting", URL: "https://ci.example.com/runs/1",
}

func TestTelling(t *testing.T) {
	kit := reporttest.Kit{
		New: func(address, token string, client *http.Client) (report.Notifier, error) {
			return gitea.New(gitea.Config{Name: "forge", URL: address + "/git/", Token: triggers.Secret(token), Client: client})
		},
		Notice: notice,
		Advice: map[int]string{401: "make a new one", 403: "write", 404: "access", 422: "commit", 301: "url", 418: "teapot"},
		Impossible: map[string]func(*report.Notice){
			"repository":      func(n *report.Notice) { n.Repo = "../../admin" },
			"deep repository": func(n *report.Notice) { n.Repo = "a/b/c" },
			"commit":          func(n *report.Notice) { n.Commit = "../x" },
			"state":           func(n *report.Notice) { n.State = "odd" },
		},
	}
	reporttest.Run(t, kit)
	reporttest.RunStatus(t, kit, reporttest.Status{
		Path: "/git/api/v1/repos/shop/api/statuses/" + notice.Commit, Auth: "token " + reporttest.Token, MaxText: 140,
		Body: map[string]any{"context": "millrace/ci", "description": "waiting", "target_url": "https://ci.example.com/runs/1"},
		Words: map[report.State]string{
			report.Pending: "pending", report.Running: "pending", report.Succeeded: "success", report.Failed: "failure",
			report.Broken: "error", report.Canceled: "error", report.NotAffected: "success",
			report.Skipped: "success", report.Ignored: "success",
		},
	})
}

func TestConfig(t *testing.T) {
	triggertest.RunConfig(t, triggertest.ConfigKit{
		New:  func(cfg triggers.ForgeConfig) (triggertest.Accessor, error) { return gitea.New(cfg) },
		Repo: "shop/api", User: "millrace",
		Clone: map[string]string{
			"https://git.example.com":    "https://git.example.com/shop/api.git",
			"https://example.com/gitea/": "https://example.com/gitea/shop/api.git",
		},
	})
}
