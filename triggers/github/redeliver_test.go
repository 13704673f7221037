package github_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers/github"
)

// endless is a hook that has failed for ever: each page of 100 deliveries links to the next one, elsewhere.
func endless(t *testing.T, attempt http.HandlerFunc) (f *github.Forge, pages, attempts *int) {
	t.Helper()
	pages, attempts = new(int), new(int)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /repos/shop/api/hooks", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[{"id":1,"config":{"url":"https://other/hooks/lab"}},{"id":2},{"id":3,"config":{"url":"https://ci/hooks/forge"}}]`)
	})
	mux.HandleFunc("GET /repos/shop/api/hooks/3/deliveries", func(w http.ResponseWriter, r *http.Request) {
		if want := fmt.Sprintf("c%d", *pages); *pages > 0 && r.URL.Query().Get("cursor") != want {
			t.Errorf("cursor: got %s, want %s", r.URL.RawQuery, want)
		}
		*pages++
		w.Header().Set("Link", fmt.Sprintf(`<https://evil.example.com/?cursor=x>; rel="prev", <https://evil.example.com/?cursor=c%d>; rel="next"`, *pages))
		var list []string
		for i := range 100 {
			id := 100**pages + i
			list = append(list, fmt.Sprintf(`{"id":%d,"guid":"g%d","event":"push","status_code":503,"delivered_at":"2026-09-02T12:00:00Z"}`, id, id))
		}
		fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
	})
	mux.HandleFunc("POST /repos/shop/api/hooks/3/deliveries/{id}/attempts", func(w http.ResponseWriter, r *http.Request) {
		*attempts++
		attempt(w, r)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	f, err := github.New(github.Config{Name: "forge", URL: s.URL, Token: "hush"})
	if err != nil {
		t.Fatal(err)
	}
	return f, pages, attempts
}

func TestRedeliverIsBounded(t *testing.T) {
	t.Parallel()
	f, pages, attempts := endless(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	asked, err := f.Redeliver(t.Context(), "shop/api", time.Date(2026, 9, 2, 12, 0, 0, 0, time.UTC))
	if err != nil || asked != 50 || *attempts != 50 || *pages != 10 {
		t.Errorf("got %d, %v after %d pages and %d attempts, want 50 after 10 and 50", asked, err, *pages, *attempts)
	}
	*pages = 0
	asked, err = f.Redeliver(t.Context(), "shop/api", time.Date(2026, 9, 2, 12, 0, 1, 0, time.UTC))
	if err != nil || asked != 0 || *pages != 1 {
		t.Errorf("nothing since then: got %d, %v after %d pages, want 0 after 1", asked, err, *pages)
	}
}

func TestRedeliverRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		status    int
		asked     int
		permanent bool
		wait      time.Duration
	}{
		{"one is gone", http.StatusNotFound, 50, true, 0},
		{"a limit", http.StatusForbidden, 1, false, 7 * time.Second},
		{"weather", http.StatusBadGateway, 1, false, 0},
	} {
		n := 0
		f, _, _ := endless(t, func(w http.ResponseWriter, _ *http.Request) {
			if n++; n == 2 {
				if c.wait > 0 {
					w.Header().Set("Retry-After", "7")
				}
				w.WriteHeader(c.status)
			}
		})
		asked, err := f.Redeliver(t.Context(), "shop/api", time.Time{})
		if asked != c.asked || err == nil || report.IsPermanent(err) != c.permanent || report.Wait(err) != c.wait || !strings.Contains(err.Error(), "shop/api") {
			t.Errorf("%s: got %d, %v (permanent %v, wait %v), want %+v", c.name, asked, err, report.IsPermanent(err), report.Wait(err), c)
		}
	}
}
