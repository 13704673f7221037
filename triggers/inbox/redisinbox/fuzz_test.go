package redisinbox_test

import (
	"bytes"
	"testing"

	"github.com/millrace-ci/millrace/triggers/inbox/redisinbox"
)

// FuzzRecord lets anything at all stand where a delivery is stored; and what it has for a body reads the same when it is
// kept again.
func FuzzRecord(f *testing.F) {
	head := `{"ID":"d1","Forge":"hub","Kind":"push","Header":{"X-Github-Event":["push"]},"At":"2026-11-23T09:00:00Z"}`
	_, packed := redisinbox.Pack(bytes.Repeat([]byte("{}"), 1000))
	f.Add("1", head, "s2", string(packed), `{"At":"2026-11-23T09:00:00Z","Error":"x"}`, true)
	f.Add("1", head, "plain", "{}", "", false)
	f.Add("1", "null", "", "x", "null", true)
	f.Add("2", "{}", "zstd", "", "[]", true)
	f.Add("1", head, "s2", "\xff\xff\xff\xff\x0f", "", false) // it says that it has 4 GiB
	f.Fuzz(func(t *testing.T, v, head, form, body, planned string, settled bool) {
		var outcome any
		if settled {
			outcome = planned
		}
		r, err := redisinbox.ReadRecord(v, head, form, body, outcome)
		if err != nil {
			return
		}
		again, packed := redisinbox.Pack(r.Body)
		if got, err := redisinbox.ReadRecord(v, head, again, string(packed), outcome); err != nil || !bytes.Equal(got.Body, r.Body) {
			t.Errorf("kept again: got %.100q, %v, want %.100q", got.Body, err, r.Body)
		}
	})
}
