package redisinbox_test

import (
	"testing"
	"time"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/inboxtest"
	"github.com/millrace-ci/millrace/triggers/inbox/redisinbox"
)

func TestLaws(t *testing.T) {
	rdb := redistest.Start(t).Client()
	inboxtest.Run(t, func(t *testing.T) inbox.Inbox {
		if err := rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		in, err := redisinbox.New(redisinbox.Config{Rdb: rdb, Retention: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return in
	})
}
