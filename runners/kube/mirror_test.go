package kube_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/runners/kube"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// TestMain keeps client-go from putting pauses between errors that it counts by the clocks of all bubbles at once.
func TestMain(m *testing.M) {
	utilruntime.ErrorHandlers = nil
	m.Run()
}

// fakeAPI lists pods and tells what becomes of them.
type fakeAPI struct {
	mu      sync.Mutex
	pods    []corev1.Pod
	away    bool // it refuses connections
	watch   *apiwatch.FakeWatcher
	watched chan struct{} // gets something when a watch begins
}

var errRefused = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}

func (f *fakeAPI) listWatch() cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{ListWithContextFunc: f.list, WatchFuncWithContext: f.follow}, f)
}

// IsWatchListSemanticsUnSupported tells client-go that it knows no list that is a watch.
func (f *fakeAPI) IsWatchListSemanticsUnSupported() bool { return true }

func (f *fakeAPI) list(context.Context, metav1.ListOptions) (runtime.Object, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return nil, errRefused
	}
	return &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: slices.Clone(f.pods)}, nil
}

func (f *fakeAPI) follow(context.Context, metav1.ListOptions) (apiwatch.Interface, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return nil, errRefused
	}
	f.watch = apiwatch.NewFake()
	select {
	case f.watched <- struct{}{}:
	default:
	}
	return f.watch, nil
}

// leave cuts the watch, and lets nobody in until come.
func (f *fakeAPI) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = true
	f.watch.Stop()
}

func (f *fakeAPI) come() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = false
}

func fakePod(name string) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: name, ResourceVersion: "2", Labels: map[string]string{"a": "b"}}}
}

// TestMirror hears of pods by list and by watch, and of those that are gone.
func TestMirror(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{pods: []corev1.Pod{fakePod("a"), fakePod("b")}}
		var rung []string
		m := kube.NewMirror(api.listWatch(), func(object metav1.Object) { rung = append(rung, object.GetName()) })
		if err := m.Ready(overContext(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("ready before it runs: got error %v, want %v", err, context.Canceled)
		}
		defer m.Start(t.Context())()
		synctest.Wait()
		for _, pod := range []string{"c", "b"} {
			api.watch.Add(new(fakePod(pod)))
		}
		api.watch.Delete(new(fakePod("a")))
		synctest.Wait()
		if diff := cmp.Diff([]string{"b", "c"}, m.Names()); diff != "" {
			t.Errorf("pods (-want +got):\n%s", diff)
		}
		api.mu.Lock()
		api.pods = []corev1.Pod{fakePod("c")}
		api.mu.Unlock()
		api.watch.Error(&metav1.Status{Code: 410, Reason: metav1.StatusReasonExpired})
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"c"}, m.Names()); diff != "" {
			t.Errorf("pods, listed again (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"a", "b", "c", "b", "a"}, rung[:5]); diff != "" || !slices.Contains(rung[5:], "b") {
			t.Errorf("rung for %v (-want +got):\n%s", rung, diff)
		}
		if err := m.Ready(t.Context()); err != nil {
			t.Errorf("ready: %v", err)
		}
	})
}

func overContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestMirrorOwned finds pods by what controls them, as long as they are there and it does.
func TestMirrorOwned(t *testing.T) {
	t.Parallel()
	of := func(name string, by types.UID) *corev1.Pod {
		pod := fakePod(name)
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: "Job", Name: string(by), UID: by, Controller: new(true)}}
		return &pod
	}
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{pods: []corev1.Pod{*of("a", "x"), *of("b", "x"), fakePod("c")}}
		m := kube.NewMirror(api.listWatch(), func(metav1.Object) {})
		defer m.Start(t.Context())()
		synctest.Wait()
		want := func(when string, x, y []string) {
			synctest.Wait()
			if diff := cmp.Diff(map[types.UID][]string{"x": x, "y": y}, map[types.UID][]string{"x": m.Owned("x"), "y": m.Owned("y")}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		want("listed", []string{"a", "b"}, nil)
		api.watch.Modify(of("a", "x"))
		want("changed", []string{"b", "a"}, nil)
		api.watch.Modify(of("b", "y"))
		want("taken over", []string{"a"}, []string{"b"})
		api.watch.Delete(of("a", "x"))
		want("deleted", nil, []string{"b"})
	})
}

// TestMirrorAfterOutage has an API that was away for long: what it tells then is heard within ten seconds.
func TestMirrorAfterOutage(t *testing.T) {
	t.Parallel()
	for _, away := range []time.Duration{time.Second, time.Minute, 10 * time.Minute, 3 * time.Hour} {
		t.Run(fmt.Sprint(away), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				api := &fakeAPI{watched: make(chan struct{}, 1)}
				rung := make(chan any, 1)
				m := kube.NewMirror(api.listWatch(), func(object metav1.Object) { rung <- object })
				defer m.Start(t.Context())()
				<-api.watched
				api.leave()
				time.Sleep(away)
				api.come()
				back := time.Now()
				<-api.watched
				api.watch.Add(new(fakePod("a")))
				<-rung
				if took := time.Since(back); took > 10*time.Second {
					t.Errorf("heard of a pod %s after the API came back, want 10s at most", took)
				}
			})
		})
	}
}
