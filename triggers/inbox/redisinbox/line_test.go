package redisinbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox/redisinbox"
)

// slow stands where Redis stands, and answers a batch when it is told to.
type slow struct {
	answer  chan error // what each batch is answered
	batches []int      // how many deliveries each batch had
}

func (s *slow) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("dialed") }
}

func (s *slow) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *slow) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		n := (cmd.Args()[2].(int) - 3) / 2 // EVALSHA sha numkeys
		s.batches = append(s.batches, n)
		if err := <-s.answer; err != nil {
			cmd.SetErr(err)
			return err
		}
		cmd.(*redis.Cmd).SetVal(slices.Repeat([]any{""}, n))
		return nil
	}
}

// slowInbox is an inbox on a slow Redis, which a first caller keeps busy already.
func slowInbox(t *testing.T) (*redisinbox.Inbox, *slow, *callers) {
	t.Helper()
	s := &slow{answer: make(chan error)}
	rdb := redis.NewClient(&redis.Options{ // which asks no DNS for its own address, as it does by default
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled, EndpointType: maintnotifications.EndpointTypeNone},
	})
	rdb.AddHook(s)
	t.Cleanup(func() { _ = rdb.Close() })
	in, err := redisinbox.New(redisinbox.Config{Rdb: rdb})
	if err != nil {
		t.Fatal(err)
	}
	c := &callers{in: in}
	c.keep(t.Context(), 1, 10)
	synctest.Wait()
	return in, s, c
}

// callers keep deliveries and note the errors.
type callers struct {
	in   *redisinbox.Inbox
	all  sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

// keep starts n callers with bodies of size bytes that cannot be made smaller.
func (c *callers) keep(ctx context.Context, n, size int) {
	for i := range n {
		c.all.Go(func() {
			body := make([]byte, size)
			_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(body)
			d := triggers.Delivery{ID: fmt.Sprintf("d%d", i), Key: fmt.Sprint(i), Body: body}
			_, err := c.in.Keep(ctx, d)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.errs = append(c.errs, err)
		})
	}
}

// wait returns the errors of all callers.
func (c *callers) wait() []error {
	c.all.Wait()
	return c.errs
}

func TestCallersShareRoundTrips(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		n, size int
		want    []int
	}{
		"many small ones":  {n: 150, size: 100, want: []int{1, 64, 64, 22}},
		"a few large ones": {n: 8, size: 1_300_000, want: []int{1, 3, 3, 2}},
		"some huge ones":   {n: 3, size: 9_000_000, want: []int{1, 1, 1, 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, s, c := slowInbox(t)
				c.keep(t.Context(), tc.n, tc.size)
				synctest.Wait()
				close(s.answer)
				if err := errors.Join(c.wait()...); err != nil {
					t.Errorf("keep: %v", err)
				}
				if diff := cmp.Diff(tc.want, s.batches); diff != "" {
					t.Errorf("batches (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestCallerWhoLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, s, c := slowInbox(t)
		leaving, leave := context.WithCancel(t.Context())
		gone := &callers{in: c.in}
		gone.keep(leaving, 5, 100)
		c.keep(t.Context(), 3, 100)
		synctest.Wait()
		leave()
		for _, err := range gone.wait() { // while Redis has not answered anybody
			if !errors.Is(err, context.Canceled) {
				t.Errorf("who left: got %v, want canceled", err)
			}
		}
		close(s.answer)
		if err := errors.Join(c.wait()...); err != nil {
			t.Errorf("who stayed: %v", err)
		}
		if diff := cmp.Diff([]int{1, 3}, s.batches); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
	})
}

func TestErrorIsOfItsBatchOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, s, c := slowInbox(t)
		c.keep(t.Context(), 4, 100)
		synctest.Wait()
		s.answer <- nil
		s.answer <- redis.ErrClosed
		failed := 0
		for _, err := range c.wait() {
			if errors.Is(err, redis.ErrClosed) {
				failed++
			}
		}
		if failed != 4 {
			t.Errorf("%d callers were told of the error, want the 4 of the second batch", failed)
		}
		close(s.answer)
		if _, err := in.Keep(t.Context(), triggers.Delivery{ID: "d", Key: "k"}); err != nil {
			t.Errorf("after an error: %v", err)
		}
	})
}
