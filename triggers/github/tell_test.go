package github_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/agent/report/reporttest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/github"
	"github.com/millrace-ci/millrace/triggers/triggertest"
)

var notice = report.Notice{
	Repo: "shop/api", Commit: strings.Repeat("a", 40), Context: "millrace/ci", State: report.Pending, Text: "waiting", URL: "https://ci.example.com/runs/1",
}

func told() reporttest.Kit {
	return reporttest.Kit{
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
}

// status is how GitHub takes the notice.
var status = reporttest.Status{
	Path: "/api/v3/repos/shop/api/statuses/" + notice.Commit, Auth: "Bearer " + reporttest.Token, MaxText: 140,
	Body: map[string]any{"context": "millrace/ci", "description": "waiting", "target_url": "https://ci.example.com/runs/1"},
	Words: map[report.State]string{
		report.Pending: "pending", report.Running: "pending", report.Succeeded: "success", report.Failed: "failure",
		report.Broken: "error", report.Canceled: "error", report.NotAffected: "success",
		report.Skipped: "success", report.Ignored: "success",
	},
}

func TestTelling(t *testing.T) {
	reporttest.Run(t, told())
	reporttest.RunStatus(t, told(), status)
}

// TestTellingAsApp keeps the same laws with tokens that an app is given: a GitHub that gives them stands in front of each
// that is told.
func TestTellingAsApp(t *testing.T) {
	kit := told()
	kit.New = func(address, token string, client *http.Client) (report.Notifier, error) {
		cfg := github.Config{Name: "forge", URL: address + "/api/v3/"}
		if token == "" {
			return github.New(cfg)
		}
		tokens := grants{token: token, next: http.DefaultTransport}
		if cfg.Client = (&http.Client{Timeout: 15 * time.Second}); client != nil {
			cfg.Client.Timeout = client.Timeout
		}
		cfg.Client.Transport = tokens
		return github.NewApp(cfg, github.App{ID: "1", Key: appKey(), Installation: 5})
	}
	reporttest.Run(t, kit)
	reporttest.RunStatus(t, kit, status)
}

// appKey is a private key.
var appKey = sync.OnceValue(func() triggers.Secret {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return triggers.Secret(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
})

// grants answers who asks for a token, and lets the rest pass.
type grants struct {
	token string
	next  http.RoundTripper
}

func (g grants) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil || r.URL.Path != "/api/v3/app/installations/5/access_tokens" {
		return g.next.RoundTrip(r)
	}
	w := httptest.NewRecorder()
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"token":%q,"expires_at":%q,"permissions":{"statuses":"write"}}`, g.token, time.Now().Add(time.Hour).Format(time.RFC3339))
	return w.Result(), nil
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
