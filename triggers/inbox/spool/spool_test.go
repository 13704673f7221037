package spool_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/inboxtest"
	"github.com/millrace-ci/millrace/triggers/inbox/meminbox"
	"github.com/millrace-ci/millrace/triggers/inbox/spool"
)

// TestMain lets this binary play the process that is killed, too.
func TestMain(m *testing.M) {
	if role := os.Getenv("SPOOL_TEST_CHILD"); role != "" {
		child(role)
	}
	goleak.VerifyTestMain(m)
}

func TestLaws(t *testing.T) {
	t.Parallel()
	inboxtest.Run(t, func(t *testing.T) inbox.Inbox { return open(t, newDir(t), meminbox.New()).Spool })
}

func TestInboxAway(t *testing.T) {
	t.Parallel()
	behind := newMoody(away)
	f := open(t, newDir(t), behind)
	f.keep(0, 10)
	f.behindHas(nil)
	if behind.asked != 1 {
		t.Errorf("the inbox behind was asked %d times, want once", behind.asked)
	}
	if got := f.number("millrace_spool_deliveries"); got != 10 {
		t.Errorf("the spool says that it holds %v, want 10", got)
	}
	if got, want := f.number("millrace_spool_since_timestamp_seconds"), float64(noon.Unix()); got != want {
		t.Errorf("since: got %v, want %v", got, want)
	}
	if r, err := f.Get(t.Context(), delivery(3).ID); err != nil || r.Planned != nil || string(r.Body) != `{"number":3}` {
		t.Errorf("get a spooled one: %+v, %v", r, err)
	}
	if _, err := f.Get(t.Context(), "dnowhere"); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("get none: got %v, want ErrNotFound", err)
	}
	behind.set(nil)
	f.keep(10, 11) // which must not overtake those that were there before
	f.behindHas(nil)
	stop := f.run()
	if diff := cmp.Diff(ids(0, 11), f.await(11)); diff != "" {
		t.Errorf("put in line (-want +got):\n%s", diff)
	}
	stop()
	f.behindHas(ids(0, 11))
	f.keep(11, 12)
	f.behindHas(ids(0, 12))
	if got := f.files(); len(got) != 0 {
		t.Errorf("the folder holds %v, want nothing", got)
	}
	for name, want := range map[string]float64{"spooled": 11, "drained": 11, "refused": 0, "damaged": 0, "torn": 0} {
		if got := f.number("millrace_spooled_total", name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"deliveries", "bytes", "since_timestamp_seconds"} {
		if got := f.number("millrace_spool_" + name); got != 0 {
			t.Errorf("%s: got %v, want 0", name, got)
		}
	}
	if said := f.log.String(); strings.Count(said, "cannot be reached") != 1 || strings.Count(said, "is back") != 1 {
		t.Errorf("the log tells of it otherwise than once:\n%s", said)
	}
}

func TestHangingInboxCostsItsPatienceOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		behind := newMoody(hanging)
		f := openWith(t, spool.Config{Dir: newDir(t), MaxBytes: 1 << 20, Patience: 200 * time.Millisecond}, behind)
		stop := f.run()
		for i, want := range []time.Duration{200 * time.Millisecond, 0, 0} {
			start := time.Now()
			f.keep(i, i+1)
			if got := time.Since(start).Round(time.Millisecond); got != want {
				t.Errorf("keep %d took %v, want %v", i, got, want)
			}
		}
		time.Sleep(time.Hour)
		behind.set(nil)
		start := time.Now()
		if diff := cmp.Diff(ids(0, 3), f.await(3)); diff != "" {
			t.Errorf("put in line (-want +got):\n%s", diff)
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("it took %v to see that the inbox is back", took)
		}
		stop()
		_ = f.Close()
	})
}

// TestSlowInboxIsSpooled: an inbox that takes long for each is not waited for by each.
func TestSlowInboxIsSpooled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pace := func(every time.Duration) func(context.Context, triggers.Delivery) error {
			return func(ctx context.Context, _ triggers.Delivery) error {
				select {
				case <-time.After(every):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		behind := newMoody(pace(300 * time.Millisecond))
		f := openWith(t, spool.Config{Dir: newDir(t), MaxBytes: 1 << 20, Patience: 200 * time.Millisecond}, behind)
		stop := f.run()
		waits := func(i int) time.Duration {
			start := time.Now()
			f.keep(i, i+1)
			defer time.Sleep(time.Minute)
			return time.Since(start).Round(time.Millisecond)
		}
		got := []time.Duration{waits(0), waits(1), waits(2)}
		behind.set(pace(10 * time.Millisecond))
		got = append(got, waits(3), waits(4))
		want := []time.Duration{200 * time.Millisecond, 0, 0, 0, 10 * time.Millisecond} // the 4th finds out, the 5th goes straight
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("keeps took (-want +got):\n%s", diff)
		}
		stop()
		f.behindHas(ids(0, 5))
		_ = f.Close()
	})
}

func TestAnswerLost(t *testing.T) {
	t.Parallel()
	behind := newMoody(nil)
	behind.set(func(ctx context.Context, d triggers.Delivery) error {
		_, err := behind.Inbox.Keep(ctx, d)
		return errors.Join(err, errAway)
	})
	f := open(t, newDir(t), behind)
	f.keep(0, 1) // not a duplicate of itself
	behind.set(nil)
	f.flush()
	if diff := cmp.Diff(ids(0, 1), f.await(1)); diff != "" {
		t.Errorf("put in line (-want +got):\n%s", diff)
	}
	f.behindHas(ids(0, 1))
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	behind := newMoody(away)
	f := open(t, newDir(t), behind)
	if _, err := behind.Inbox.Keep(t.Context(), delivery(7)); err != nil {
		t.Fatal(err)
	}
	f.keep(0, 1)
	f.keep(7, 8) // nobody can know it now
	again := delivery(0)
	again.ID, again.Body = "another", []byte("{}")
	for range 2 {
		r, err := f.Keep(t.Context(), again)
		if want := (inbox.Receipt{ID: delivery(0).ID, Duplicate: true}); err != nil || r != want {
			t.Errorf("a duplicate: got %+v, %v, want %+v", r, err, want)
		}
	}
	behind.set(nil)
	f.flush()
	f.behindHas([]string{delivery(0).ID, delivery(7).ID})
	if r, err := f.Keep(t.Context(), again); err != nil || !r.Duplicate {
		t.Errorf("a duplicate of what was drained: got %+v, %v", r, err)
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	behind := newMoody(away)
	f := openWith(t, spool.Config{Dir: newDir(t), MaxBytes: 100_000}, behind)
	n := 0
	var err error
	for ; err == nil; n++ {
		_, err = f.Keep(t.Context(), delivery(n))
	}
	if !errors.Is(err, spool.ErrFull) || !errors.Is(err, errAway) {
		t.Errorf("got %v, want that the spool is full and the inbox away", err)
	}
	size := int64(0)
	for _, name := range f.files() {
		info, err := os.Stat(f.dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 100_000 || size < 99_000 {
		t.Errorf("the files have %d bytes, want nearly 100,000", size)
	}
	if got := f.number("millrace_spool_bytes"); got != float64(size) {
		t.Errorf("the metric says %v bytes, want %d", got, size)
	}
	behind.set(nil)
	f.flush()
	f.behindHas(ids(0, n-1))
	behind.set(away)
	f.keep(n, n+1) // there is room again
}

func TestOff(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	before := open(t, dir, newMoody(away))
	before.keep(0, 3)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	behind := newMoody(away)
	f := openWith(t, spool.Config{Dir: dir}, behind)
	if _, err := f.Keep(t.Context(), delivery(3)); !errors.Is(err, errAway) {
		t.Errorf("got %v, want what the inbox says", err)
	}
	behind.set(nil)
	f.flush()
	f.behindHas(ids(0, 3))
}

func TestOneThatIsRefusedStopsNobody(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	refused := ids(0, 2)
	mood := func(_ context.Context, d triggers.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		if slices.Contains(refused, d.ID) {
			return errors.New("the bucket is gone")
		}
		return nil
	}
	behind := newMoody(away)
	f := open(t, newDir(t), behind)
	f.keep(0, 400)
	behind.set(mood)
	stop := f.run()
	if diff := cmp.Diff(ids(2, 400), f.await(398)); diff != "" {
		t.Errorf("put in line (-want +got):\n%s", diff)
	}
	if got := f.number("millrace_spool_deliveries"); got != 2 {
		t.Errorf("the spool holds %v, want the 2 that are refused", got)
	}
	if r, err := f.Get(t.Context(), delivery(1).ID); err != nil || r.ID != delivery(1).ID {
		t.Errorf("get a refused one: %+v, %v", r, err)
	}
	mu.Lock()
	refused = nil
	mu.Unlock()
	f.await(2)
	stop()
	f.behindHas(ids(0, 400))
	if !strings.Contains(f.log.String(), "refuses a delivery again and again") {
		t.Errorf("the log does not tell of it:\n%s", f.log)
	}
}

// TestGoesAwayInTheMiddle: those of a batch that were not kept stay before those that came later.
func TestGoesAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		behind := newMoody(away)
		f := open(t, newDir(t), behind)
		f.keep(0, 200)
		var mu sync.Mutex
		asked := 0
		behind.set(func(context.Context, triggers.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			if asked++; asked > 30 && asked < 500 { // it is back in the middle of a batch, too
				return errAway
			}
			return nil
		})
		stop := f.run()
		got := f.await(200)
		stop()
		if !slices.IsSorted(positions(got[30:])) {
			t.Errorf("the rest was put in line as %v", positions(got[30:]))
		}
		f.behindHas(ids(0, 200))
		_ = f.Close()
	})
}

// positions are the numbers of deliveries by their ids.
func positions(of []string) []int {
	all := ids(0, 1000)
	var at []int
	for _, id := range of {
		at = append(at, slices.Index(all, id))
	}
	return at
}

func TestLeavesNothingAtItsEnd(t *testing.T) {
	t.Parallel()
	behind := newMoody(away)
	f := open(t, newDir(t), behind)
	f.keep(0, 300)
	behind.set(nil)
	f.flush()
	f.behindHas(ids(0, 300))
}

func TestClosed(t *testing.T) {
	t.Parallel()
	behind := newMoody(nil)
	f := open(t, newDir(t), behind)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f.keep(0, 1) // straight to the inbox
	behind.set(away)
	if _, err := f.Keep(t.Context(), delivery(1)); !errors.Is(err, errAway) || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v, want that the spool is closed and the inbox away", err)
	}
}

func TestConfigNamesAllMistakes(t *testing.T) {
	t.Parallel()
	_, err := spool.New(spool.Config{MaxBytes: -1}, meminbox.New())
	for _, want := range []string{"folder", "metrics", "logger", "negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to name %s", err, want)
		}
	}
}
