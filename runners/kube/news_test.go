package kube_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-ci/millrace/runners/kube"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestNews has a hundred ask at once, again and again: one call a second serves them all, each with its own.
func TestNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		list := func(context.Context) ([]corev1.Event, error) {
			calls.Add(1)
			time.Sleep(100 * time.Millisecond)
			return []corev1.Event{
				{Reason: "Mine", InvolvedObject: corev1.ObjectReference{UID: "mine"}},
				{Reason: "Theirs", InvolvedObject: corev1.ObjectReference{UID: "theirs"}},
			}, nil
		}
		news := kube.NewNews(list)
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				for range 10 {
					events, at, err := news(t.Context(), "mine")
					if err != nil || len(events) != 1 || events[0].Reason != "Mine" || time.Since(at) > 2*time.Second {
						t.Errorf("got %v of %s ago and error %v, want the one event of mine", events, time.Since(at), err)
					}
					time.Sleep(500 * time.Millisecond)
				}
			})
		}
		group.Wait()
		if n := calls.Load(); n < 4 || n > 6 { // In five seconds.
			t.Errorf("listed %d times, want once a second", n)
		}
	})
}

// TestNewsFail has a list fail, and somebody who asks for it leave.
func TestNewsFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fire := errors.New("on fire")
		news := kube.NewNews(func(ctx context.Context) ([]corev1.Event, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Second):
				return nil, fire
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, _, err := news(ctx, "mine"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v, want %v", err, context.DeadlineExceeded)
		}
		var uid types.UID = "mine"
		if _, _, err := news(t.Context(), uid); !errors.Is(err, fire) { // The next one asks for itself.
			t.Errorf("got error %v, want %v", err, fire)
		}
	})
}
