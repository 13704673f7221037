package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/runners"
)

// FuzzOutput has a task send anything at all: it is refused in words, or every output is one that may be kept.
func FuzzOutput(f *testing.F) {
	f.Add("application/json; charset=utf-8", `{"A":"1","b":"two\nlines"}`)
	f.Add("text/plain", "export C='3' # x\n")
	f.Add("application/json", `{"A":null,"B":7}`)
	f.Add("application/json", `{"a-b":"","\u0000":"\ud800"}`)
	f.Add("application/json;;=", "null")
	f.Fuzz(func(t *testing.T, kind, body string) {
		h := newHouse(t)
		h.create(snapshot(1), run.Started{Task: "unit", Attempt: 1, Worker: "w", At: start})
		w := h.send("Bearer run1/unit/1", kind, body)
		switch w.Code {
		case http.StatusNoContent:
		case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge:
			var p struct{ Detail string }
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Detail == "" {
				t.Errorf("%d without a reason: %v, %s", w.Code, err, w.Body)
			}
		default:
			t.Errorf("got %d %s", w.Code, w.Body)
		}
		kept, err := h.store.Load(t.Context(), "run1")
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range kept.Tasks[0].Outputs {
			if err := runners.CheckOutput(name, value); err != nil {
				t.Errorf("kept %q=%q: %v", name, value, err)
			}
		}
	})
}

// FuzzAsk asks for anything at all: the answer is JSON or a log, or says what is wrong, and is never our own failure.
func FuzzAsk(f *testing.F) {
	f.Add("runs", "limit=1&cursor=019aaf9a5400run1&state=running")
	f.Add("runs", "repo=shop%2Fapi&branch=main&pipeline=build&commit=0101010")
	f.Add("runs/run1", "x=y")
	f.Add("runs/run1/tasks/unit/log", "offset=-1&attempt=99999999999999999999")
	f.Add("runs/run1/tasks/..%2f..%2fx/log", "attempt=0")
	f.Add("runs/run1:plan/tasks/unit/manifest", "")
	f.Add("deliveries", "cursor=%00&limit=501")
	f.Add("deliveries/d1", "")
	f.Add("dead", "line=work&cursor=0-0")
	f.Fuzz(func(t *testing.T, path, query string) {
		address := &url.URL{Scheme: "http", Host: "mill.example", Path: "/api/v1/" + path, RawQuery: query}
		if q, err := url.ParseQuery(query); err != nil || q.Has("follow") {
			return // net/http refuses it, or somebody waits for more.
		}
		h := newHouse(t)
		h.create(snapshot(1), run.Started{Task: "unit", Attempt: 1, Worker: "w", At: start})
		h.deliver(1, nil)
		w := httptest.NewRecorder()
		h.api.ServeHTTP(w, (&http.Request{Method: http.MethodGet, URL: address, Host: "mill.example", Header: http.Header{}}).WithContext(t.Context()))
		if w.Code >= 500 {
			t.Errorf("%s: got %d %s", address, w.Code, w.Body)
		}
	})
}
