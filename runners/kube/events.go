package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
)

// maxEvents bounds what is listed of one object's events: they are aggregated, a job has a handful.
const maxEvents = 200

// listEvents asks for the events of these objects, one call each. They are only asked for when a job does not start, or
// for evidence: most of a cluster's events are nobody's business here.
func (r *Runner) listEvents(ctx context.Context, uids ...types.UID) ([]corev1.Event, error) {
	var all []corev1.Event
	for _, uid := range uids {
		events, err := r.eventsOf(ctx, uid)
		if err != nil {
			return nil, fmt.Errorf("list events: %w", err)
		}
		all = append(all, events...)
	}
	return all, nil
}

func (r *Runner) eventsOf(ctx context.Context, uid types.UID) ([]corev1.Event, error) {
	ctx, cancel := r.call(ctx)
	defer cancel()
	list, err := r.cfg.Cluster.client.CoreV1().Events(r.cfg.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(uid)).String(), Limit: maxEvents,
	})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// newest is the last of events that want wants, nil if there is none. Events are told in whole seconds: of two at once
// the one that is no warning counts, since it shows that things go on.
func newest(events []corev1.Event, want func(*corev1.Event) bool) *corev1.Event {
	var last *corev1.Event
	for i := range events {
		e := &events[i]
		if !want(e) {
			continue
		}
		if last == nil || when(e).After(when(last)) || when(e).Equal(when(last)) && e.Type == corev1.EventTypeNormal {
			last = e
		}
	}
	return last
}

// when is when e was last seen. Its times depend on which of two event APIs its author used.
func when(e *corev1.Event) time.Time {
	at := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time} {
		if t.After(at) {
			at = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(at) {
		at = e.Series.LastObservedTime.Time
	}
	return at
}
