package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/cmd/millrace/config"
	"github.com/millrace-ci/millrace/triggers"
)

// TestKnownSecretsAreHidden holds that what the configuration knows to be secret is in no line of the daemon's log, in
// whichever form an error quotes it, and that one that is too large keeps none of the others from being hidden.
func TestKnownSecretsAreHidden(t *testing.T) {
	t.Setenv("MILLRACE_TEST_KNOWN", "from the environment")
	t.Setenv("MILLRACE_TEST_SHORT", "abc")
	file := filepath.Join(t.TempDir(), "deploy.env")
	if err := os.WriteFile(file, []byte("KEY='kept in \"a\" file'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Redis.URL = "redis://:redis-password@db:6379"
	c.Forges = []config.Forge{{Token: "forge-token", WebhookSecrets: []config.WebhookSecret{{Secret: "webhook-secret"}}}}
	c.Secrets = []config.Secret{{Name: "a", File: file}, {Name: "b", Environment: []string{"MILLRACE_TEST_KNOWN", "MILLRACE_TEST_SHORT"}}, {Name: "c", File: "nowhere"}}
	own := []string{"forge-token", "webhook-secret", "redis-password"}
	all := append([]string{"from the environment", `kept in "a" file`, `kept in \"a\" file`}, own...)
	said := func(hidden []string) string {
		var b bytes.Buffer
		log := slog.New(slog.NewJSONHandler(known(c).Writer(&b), nil))
		for _, secret := range append(all, hidden...) {
			log.Warn("failed", "err", errors.New("fetch https://x:"+secret+"@forge/shop/api: abc"))
		}
		return b.String()
	}
	text := said(all)
	for _, secret := range all {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the log:\n%s", secret, text)
		}
	}
	if !strings.Contains(text, "fetch https://x:***@forge/shop/api: abc") || strings.Count(text, "\n") != 2*len(all) {
		t.Errorf("the rest is not as it was:\n%s", text)
	}
	t.Setenv("MILLRACE_TEST_KNOWN", strings.Repeat("large", 60<<10))
	for _, secret := range own {
		if text := said(nil); strings.Contains(text, secret) {
			t.Errorf("beside a large one %q is in the log", secret)
		}
	}
	c.Forges[0].Token = triggers.Secret(strings.Repeat("large", 60<<10))
	if text := said(nil); !strings.Contains(text, "forge/shop/api") {
		t.Errorf("where nothing can be hidden nothing is said: %s", text)
	}
}
