package labtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/internal/labtest"
)

// witness is a test that may fail.
type witness struct {
	testing.TB
	said string
}

func (w *witness) Helper() {}

func (w *witness) Fatal(args ...any) {
	w.said = fmt.Sprint(args...)
	runtime.Goexit()
}

func (w *witness) Fatalf(format string, args ...any) { w.Fatal(fmt.Sprintf(format, args...)) }

// TestOnlyTheLab sees that no test ever touches a cluster that somebody works with.
func TestOnlyTheLab(t *testing.T) {
	other := filepath.Join(t.TempDir(), "config")
	config := "{apiVersion: v1, kind: Config, current-context: production, contexts: [{name: production, context: {}}]}"
	if err := os.WriteFile(other, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":            "KUBECONFIG is not set: run `make lab-up`",
		other + ".no": "no such file or directory; run `make lab-up`",
		other:         `is for "production" and not for the lab`,
	} {
		t.Setenv("KUBECONFIG", path)
		w := &witness{TB: t}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			labtest.Open(w)
		}()
		<-ended
		if !strings.Contains(w.said, want) {
			t.Errorf("KUBECONFIG=%s: got %q, want %q", path, w.said, want)
		}
	}
}
