package report_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/report"
)

// TestSetStatus holds each state against the table of the forges' words.
func TestSetStatus(t *testing.T) {
	t.Parallel()
	var got map[string]string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		got = map[string]string{}
		if err := json.Unmarshal(data, &got); err != nil || r.Method != http.MethodPost || r.Header.Get("Authorization") != "token t" {
			t.Errorf("%s %v %s: %v", r.Method, r.Header, data, err)
		}
		w.WriteHeader(http.StatusCreated)
	}))
	defer server.Close()
	for state, word := range map[report.State]string{
		report.Pending: "pending", report.Running: "pending", report.Succeeded: "success", report.Failed: "failure",
		report.Broken: "error", report.Canceled: "error", report.NotAffected: "success",
		report.Skipped: "success", report.Ignored: "success",
	} {
		n := report.Notice{State: state, Context: "millrace/build", Text: "so it is", URL: "http://m/runs/r"}
		if _, err := report.SetStatus(t.Context(), server.Client(), server.URL, http.Header{"Authorization": {"token t"}}, n); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"state": word, "context": "millrace/build", "description": "so it is", "target_url": "http://m/runs/r"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", state, diff)
		}
	}
	_, err := report.SetStatus(t.Context(), server.Client(), server.URL, http.Header{}, report.Notice{State: "elated"})
	if !report.IsPermanent(err) || report.Refused(err) != nil {
		t.Errorf("a state that has no word: got %v, want a permanent error that is no refusal", err)
	}
}
