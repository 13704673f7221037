package github_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers/github"
)

// TestWhatIsCountedIsBounded has statuses of ever new contexts: those of one that is not told of for long are forgotten,
// those of one that is are not.
func TestWhatIsCountedIsBounded(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) }))
	defer s.Close()
	f, err := github.New(github.Config{Name: "forge", URL: s.URL, Token: "hush"})
	if err != nil {
		t.Fatal(err)
	}
	tell := func(name string, state report.State) error {
		n := notice
		n.Context, n.State = name, state
		_, err := f.Notify(t.Context(), n)
		return err
	}
	for i := range 900 {
		for _, name := range []string{"busy", "forgotten"} {
			if err := tell(name, report.Pending); err != nil {
				t.Fatal(i, err)
			}
		}
	}
	for i := range 3 * 4096 {
		name := strconv.Itoa(i)
		if i%1000 == 0 {
			name = "busy"
		}
		if err := tell(name, report.Succeeded); err != nil {
			t.Fatal(i, err)
		}
	}
	for name, omitted := range map[string]bool{"busy": true, "forgotten": false, "0": false} {
		if err := tell(name, report.Running); report.IsOmitted(err) != omitted || !omitted && err != nil {
			t.Errorf("%s: got %v, want it left out: %v", name, err, omitted)
		}
	}
}
