package spool_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// TestNothingIsSaidBeforeTheDisk: callers wait for the fsync, and those that come meanwhile share the next one.
func TestNothingIsSaidBeforeTheDisk(t *testing.T) {
	t.Parallel()
	f := open(t, newDir(t), newMoody(away))
	syncing, disk := make(chan struct{}, 10), make(chan struct{})
	f.SetSync(func(file *os.File) error {
		syncing <- struct{}{}
		<-disk
		return file.Sync()
	})
	var all sync.WaitGroup
	var kept atomic.Int64
	keep := func(i int) {
		all.Go(func() {
			f.keep(i, i+1)
			kept.Add(1)
		})
	}
	keep(0)
	<-syncing
	for i := 1; i < 100; i++ {
		keep(i)
	}
	for end := time.Now().Add(30 * time.Second); f.Gathered() < 99; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d of 99 wait for the next write", f.Gathered())
		}
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for _, ctx := range []context.Context{gone, soon} {
		if r, err := f.Keep(ctx, delivery(50)); err == nil {
			t.Errorf("a duplicate of what is not kept yet: got %+v", r)
		}
	}
	if got := kept.Load(); got != 0 {
		t.Errorf("%d callers were told that it is kept, before it was", got)
	}
	if _, err := f.Get(t.Context(), delivery(50).ID); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("get what is not kept yet: %v", err)
	}
	close(disk)
	all.Wait()
	if r, err := f.Keep(t.Context(), delivery(50)); err != nil || !r.Duplicate {
		t.Errorf("a duplicate: %+v, %v", r, err)
	}
	if got := len(syncing); got != 1 {
		t.Errorf("99 deliveries took %d fsyncs, want 1", got)
	}
}

func TestDiskFails(t *testing.T) {
	t.Parallel()
	behind := newMoody(away)
	f := open(t, newDir(t), behind)
	f.keep(0, 2)
	f.SetSync(func(*os.File) error { return errors.New("input/output error") })
	for i := 2; i < 50; i++ {
		_, err := f.Keep(t.Context(), delivery(i))
		if err == nil || !strings.Contains(err.Error(), "input/output error") || !errors.Is(err, errAway) {
			t.Fatalf("got %v, want what the disk says and what the inbox says", err)
		}
	}
	if got := f.files(); len(got) != 1 {
		t.Errorf("the folder holds %v, want the one segment that is sound", got)
	}
	f.SetSync((*os.File).Sync)
	f.keep(2, 4) // it is none of those that failed, and no duplicate of them
	if got := f.number("millrace_spool_deliveries"); got != 4 {
		t.Errorf("the spool says that it holds %v, want 4", got)
	}
	behind.set(nil)
	f.flush()
	f.behindHas(ids(0, 4))
	if got := f.number("millrace_spool_bytes"); got != 0 {
		t.Errorf("the spool says that it takes %v bytes, want 0", got)
	}
}

// TestNothingIsRemovedWhileItIsOnItsWay: a delivery that Run has in hand is still in the folder, whatever happens there.
func TestNothingIsRemovedWhileItIsOnItsWay(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1000)
	behind := newMoody(away)
	f := open(t, newDir(t), behind)
	f.keep(0, 3)
	behind.set(func(ctx context.Context, d triggers.Delivery) error {
		asked <- struct{}{}
		return hanging(ctx, d)
	})
	stop := f.run()
	<-asked
	f.SetSync(func(*os.File) error { return errors.New("input/output error") })
	if _, err := f.Keep(t.Context(), delivery(3)); err == nil {
		t.Error("kept on a disk that fails")
	}
	if got := f.files(); len(got) != 1 {
		t.Errorf("the folder holds %v, want the segment of what is on its way", got)
	}
	behind.set(nil)
	stop()
	f.behindHas(ids(0, 3))
}

// TestDiskAndInboxFail: with nothing in the spool, it is callers that find out that the inbox is back.
func TestDiskAndInboxFail(t *testing.T) {
	t.Parallel()
	behind := newMoody(away)
	f := open(t, newDir(t), behind)
	f.SetSync(func(*os.File) error { return errors.New("input/output error") })
	for range 2 {
		if _, err := f.Keep(t.Context(), delivery(0)); !errors.Is(err, errAway) {
			t.Errorf("got %v, want what the inbox says", err)
		}
	}
	behind.set(nil)
	f.keep(0, 1)
	f.behindHas(ids(0, 1))
}

// TestCallerWhoLeaves is not waited for by others, and what he leaves behind is kept or not, and not half.
func TestCallerWhoLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		behind := newMoody(away)
		f := open(t, newDir(t), behind)
		disk := make(chan struct{})
		f.SetSync(func(file *os.File) error {
			<-disk
			return file.Sync()
		})
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := f.Keep(ctx, delivery(0))
			left <- err
		}()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want canceled", err)
		}
		close(disk)
		f.keep(1, 2)
		behind.set(nil)
		f.flush()
		f.behindHas(ids(0, 2))
		_ = f.Close()
	})
}

// BenchmarkKeep is what the answer waits for while the inbox is away, with as many callers as forges may be.
func BenchmarkKeep(b *testing.B) {
	f := open(b, newDir(b), newMoody(away))
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1))
			if _, err := f.Keep(b.Context(), delivery(i)); err != nil {
				b.Error(err)
			}
		}
	})
}
