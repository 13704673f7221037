package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	newsAge = time.Second // how old news may be: at most half of the first look at them, see sight.nextLook
	maxNews = 5000        // events of a namespace that are listed at once
)

// errTooMany means that a namespace has more events than are listed at once.
var errTooMany = errors.New("too many events")

// news are the events of a namespace, for whoever waits for a pod there: a thousand may do so at once, and a list of one
// object's events costs the API server as much as a list of all. One call at a time and second serves all who ask.
type news struct {
	turn chan struct{} // holds one: who has it may touch the rest
	at   time.Time     // when what follows was asked for
	of   map[types.UID][]corev1.Event
	err  error
}

func newNews() *news {
	n := &news{turn: make(chan struct{}, 1)}
	n.turn <- struct{}{}
	return n
}

// about returns the events of these objects, and when that was the news. Errors: errTooMany.
func (n *news) about(ctx context.Context, list func(context.Context) ([]corev1.Event, error), uids []types.UID) ([]corev1.Event, time.Time, error) {
	select {
	case <-n.turn:
		defer func() { n.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
	if now := time.Now(); now.Sub(n.at) >= newsAge {
		events, err := list(ctx)
		if ctx.Err() != nil {
			return nil, time.Time{}, ctx.Err() // Only this one's time is over.
		}
		n.at, n.err, n.of = now, err, map[types.UID][]corev1.Event{}
		for _, e := range events {
			n.of[e.InvolvedObject.UID] = append(n.of[e.InvolvedObject.UID], e)
		}
	}
	var events []corev1.Event
	for _, uid := range uids {
		events = append(events, n.of[uid]...)
	}
	return events, n.at, n.err
}

// recent returns the events of these objects as of a moment ago, and when that was.
func (r *Runner) recent(ctx context.Context, uids []types.UID) ([]corev1.Event, time.Time, error) {
	events, at, err := r.watch.news.about(ctx, r.allEvents, uids)
	if !errors.Is(err, errTooMany) {
		return events, at, err
	}
	at = time.Now()
	events, err = r.listEvents(ctx, uids...)
	return events, at, err
}

// allEvents asks for the events of the namespace. Errors: errTooMany.
func (r *Runner) allEvents(ctx context.Context) ([]corev1.Event, error) {
	ctx, cancel := r.call(ctx)
	defer cancel()
	list, err := r.cfg.Cluster.client.CoreV1().Events(r.cfg.Namespace).List(ctx, metav1.ListOptions{Limit: maxNews})
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	if list.Continue != "" {
		return nil, errTooMany
	}
	for i := range list.Items {
		list.Items[i].ManagedFields = nil
	}
	return list.Items, nil
}
