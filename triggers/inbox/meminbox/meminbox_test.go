package meminbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/inboxtest"
	"github.com/millrace-ci/millrace/triggers/inbox/meminbox"
)

func TestLaws(t *testing.T) {
	t.Parallel()
	inboxtest.Run(t, func(*testing.T) inbox.Inbox { return meminbox.New() })
}

func TestPairIsForgottenOnlyAfterDedupeFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := meminbox.New()
		d := triggers.Delivery{ID: "d1", Forge: "hub", Key: "k", At: time.Now()}
		keep := func() bool {
			t.Helper()
			if _, err := in.Trim(t.Context(), time.Now().Add(time.Second), 0); err != nil {
				t.Fatal(err)
			}
			r, err := in.Keep(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			return r.Duplicate
		}
		keep()
		time.Sleep(inbox.DedupeFor) // of the bubble's clock
		if !keep() {
			t.Errorf("the pair was forgotten within %v", inbox.DedupeFor)
		}
		time.Sleep(time.Second)
		if keep() {
			t.Errorf("the pair was known for ever")
		}
		d.Key, d.Body = "unplanned", []byte("{}")
		keep()
		time.Sleep(2 * inbox.DedupeFor)
		if !keep() {
			t.Errorf("the pair of a delivery that is kept was forgotten")
		}
	})
}
