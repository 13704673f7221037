package gitlab_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers/gitlab"
)

// TestRedeliverIsBounded has a hook that failed for ever, of events with times or, as older GitLabs tell them, without;
// one of them is not sent again, which does not keep the others from it.
func TestRedeliverIsBounded(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 9, 2, 12, 0, 0, 0, time.UTC)
	for created, want := range map[string][2]int{ // pages and events asked for
		"":                         {25, 499},
		"2026-09-02T12:00:00.000Z": {25, 499},
		"2026-09-02T11:59:59.000Z": {1, 0},
	} {
		pages, resent := 0, 0
		mux := http.NewServeMux()
		mux.HandleFunc("GET /api/v4/projects/{project}/hooks", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `[{"id":1,"url":"https://other/hooks/lab"},{"id":2,"url":"https://ci/hooks/gitlab"}]`)
		})
		mux.HandleFunc("GET /api/v4/projects/{project}/hooks/2/events", func(w http.ResponseWriter, r *http.Request) {
			if pages++; r.URL.Query().Get("page") != fmt.Sprint(pages) || r.PathValue("project") != notice.Repo {
				t.Errorf("page %d: got %s", pages, r.URL)
			}
			w.Header().Set("X-Next-Page", fmt.Sprint(pages+1))
			list := []string{`{"id":1,"request_headers":{},"response_status":"500"}`, `{"id":2,"request_headers":{"X-Gitlab-Event":"Note Hook","Idempotency-Key":"n"},"response_status":"500"}`}
			for i := range 20 {
				event := fmt.Sprintf(`{"id":%d,"request_headers":{"X-Gitlab-Event":"Push Hook","idempotency-key":"k%d-%d"},"response_status":"internal error"`, 100*pages+i, pages, i)
				if created != "" {
					event += `,"created_at":"` + created + `"`
				}
				list = append(list, event+"}")
			}
			fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
		})
		mux.HandleFunc("POST /api/v4/projects/{project}/hooks/2/events/{event}/resend", func(w http.ResponseWriter, _ *http.Request) {
			if resent++; resent == 3 {
				w.WriteHeader(http.StatusUnprocessableEntity)
				fmt.Fprint(w, `{"message":"Hook disabled"}`)
				return
			}
			w.WriteHeader(http.StatusCreated)
		})
		s := httptest.NewServer(mux)
		asked, err := forge(t, gitlab.Config{URL: s.URL, Token: "hush"}).Redeliver(t.Context(), notice.Repo, since)
		s.Close()
		if pages != want[0] || asked != want[1] {
			t.Errorf("%q: got %d pages and %d, want %v", created, pages, asked, want)
		}
		if refused := want[1] > 0; refused != (err != nil) || refused && (!report.IsPermanent(err) || !strings.Contains(err.Error(), "switched off")) {
			t.Errorf("%q: got %v, want the one that was refused", created, err)
		}
	}
}
