package redisq_test

import (
	"testing"

	"github.com/millrace-ci/millrace/queue/redisq"
)

// FuzzEntry lets anything at all stand in a line: what cannot be read has the token that it is buried by.
func FuzzEntry(f *testing.F) {
	f.Add("1700000000000-0", int64(1), "run/a/1", `{"run":"r","task":"a","attempt":1}`, "", "")
	f.Add("1700000000000-7", int64(3), "", `{"run":7}`, "1700000000000", "2")
	f.Add("0-1", int64(-1), "x", "null", "-1", "99999999999")
	f.Add("-", int64(1<<62), "x", "[", "x", "x")
	f.Fuzz(func(t *testing.T, id string, deliveries int64, item, value, pushed, tries string) {
		type work struct {
			Run, Task string
			Attempt   int
		}
		l, err := redisq.ReadLease[work](id, deliveries, "id", item, "v1", value, "pushed", pushed, "tries", tries)
		switch {
		case l.Token == "" || l.Worker != "worker":
			t.Errorf("got %+v, which nobody can end", l)
		case err == nil && l.Item.ID != item:
			t.Errorf("got item %q, want %q", l.Item.ID, item)
		}
	})
}
