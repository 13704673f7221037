package github_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/report/reporttest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/github"
	"github.com/millrace-ci/millrace/triggers/triggertest"
)

var notice = report.Notice{
	Repo: "shop/api", Commit: strings.Repeat("a", 40), Context: "millrace/ci", State: report.Pending, Text: "waiting", URL: "https://ci.example.com/runs/1",
}

func TestTelling(t *testing.T) {
	kit := reporttest.Kit{
		New: func(address, token string, client *http.Client) (report.Notifier, error) {
			return github.New(github.Config{Name: "forge", URL: address + "/api/v3/", Token: triggers.Secret(token), Client: client})
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
		Path: "/api/v3/repos/shop/api/statuses/" + notice.Commit, Auth: "Bearer " + reporttest.Token, MaxText: 140,
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
		New:  func(cfg triggers.ForgeConfig) (triggertest.Accessor, error) { return github.New(cfg) },
		Repo: "shop/api", User: "x-access-token",
		Clone: map[string]string{
			"":                             "https://github.com/shop/api.git",
			"https://api.github.com/":      "https://github.com/shop/api.git",
			"https://ghe.corp.com/api/v3":  "https://ghe.corp.com/shop/api.git",
			"https://ghe.corp.com/api/v3/": "https://ghe.corp.com/shop/api.git",
			"https://api.corp.ghe.com":     "https://corp.ghe.com/shop/api.git",
			"https://api.corp.com/api/v3":  "https://api.corp.com/shop/api.git",
			"http://127.0.0.1:3000":        "http://127.0.0.1:3000/shop/api.git",
		},
	})
}
