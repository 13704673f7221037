package kube_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/runners/kube"
)

// TestTurns wakes what is at work, which then looks once more, and ends it in the middle.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, at := 0, 0
		turns := kube.NewTurns(func() {
			began++
			if at++; at > 1 {
				t.Error("two turns at once")
			}
			time.Sleep(time.Second)
			at--
		})
		for range 100 {
			turns.Wake()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if began != 2 {
			t.Errorf("woken while at work: got %d turns, want one for all of that", began)
		}
		turns.Wake()
		turns.Wake()
		synctest.Wait()
		turns.End()
		turns.Wake()
		synctest.Wait()
		if began != 3 || at != 0 {
			t.Errorf("ended: got %d turns, of which %d go on, want 3 and none", began, at)
		}
	})
}

// TestApart has a panic be that of who called.
func TestApart(t *testing.T) {
	t.Parallel()
	done := false
	kube.Apart(func() { done = true })
	if !done {
		t.Error("it returned before it was done")
	}
	defer func() {
		if p, ok := recover().(string); !ok || !strings.HasPrefix(p, "oh") || !strings.Contains(p, "turns_test.go") {
			t.Errorf("got panic %v, want it with its place", p)
		}
	}()
	kube.Apart(func() { panic("oh") })
}
