package door_test

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzDoor has the door answer signed nonsense: it must keep what begins like an object and refuse the rest.
func FuzzDoor(f *testing.F) {
	f.Add([]byte(`{"ref":"refs/heads/main"}`), "application/json", "push", "1", "")
	f.Add([]byte(`payload=%7B%7D`), "application/x-www-form-urlencoded", "push", "2", "identity")
	f.Add([]byte(`payload=%7`), "application/x-www-form-urlencoded; charset=utf-8", "ping", "", "gzip")
	f.Add([]byte("\x1f\x8b"), "text/html;;", "p\x00\xff", strings.Repeat("x", 2000), "br, gzip")
	f.Add([]byte(`null`), "", "", "\r\n", "")
	f.Fuzz(func(t *testing.T, body []byte, kind, event, key, encoding string) {
		in := newCounting()
		r := push(body)
		for name, value := range map[string]string{
			"Content-Type": kind, "X-GitHub-Event": event, "X-GitHub-Delivery": key, "Content-Encoding": encoding,
		} {
			r.Header.Set(name, value)
		}
		a, _ := knock(t, mux(open(t, config(in))), r)
		switch {
		case a.Code == http.StatusBadRequest && a.Status == "refused" && a.Reason != "" && in.keeps.Load() == 0:
		case a.Code == http.StatusAccepted && in.keeps.Load() == 1:
			kept, err := in.Get(t.Context(), a.Delivery)
			if err != nil {
				t.Fatal(err)
			}
			if accepted := a.Status == "accepted"; accepted != (event == "push") || accepted != strings.HasPrefix(string(kept.Body), "{") {
				t.Errorf("%+v kept the body %q of kind %q", a, kept.Body, event)
			}
			if kept.Header.Get("X-Hub-Signature-256") != "" {
				t.Error("a signature was kept")
			}
		default:
			t.Errorf("got %+v and %d calls of the inbox", a, in.keeps.Load())
		}
	})
}
