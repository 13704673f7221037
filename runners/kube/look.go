package kube

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const unheardWait = 30 * time.Second // a Job that was asked for and never heard of is asked for again then

// look takes up what was heard of the job. A pod that was seen ended is still told of when it is gone, and so is every
// pod when the job is gone.
func (w *waiter) look(ctx context.Context) (sight, error) {
	job, err := w.current(ctx, w.id)
	if err != nil {
		return sight{}, err
	}
	if job != nil && job.UID != w.uid {
		job = nil
	}
	there := w.watch.pods.of(w.uid)
	pods := unpackAll(there)
	for _, old := range w.pods {
		pod := old.unpack()
		known := slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return p.UID == pod.UID })
		if !known && (job == nil || !live(pod)) {
			there, pods = append(there, old), append(pods, pod)
		}
	}
	w.pods = there
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return sight{job: job, pods: pods, events: w.events, eventsAt: w.eventsAt}, nil
}

// judge says what the sight means, and looks closer where that is needed to say it.
func (w *waiter) judge(ctx context.Context, s *sight) (verdict, error) {
	for {
		v := judge(*s, w.cfg.PendingTimeout, time.Now())
		var err error
		switch v.ask {
		case askEvents:
			err = w.askEvents(ctx, s)
		case askPods:
			err = w.askPods(ctx, s)
		case askNothing:
			if !v.started.IsZero() {
				w.events = nil // They tell why a command does not start.
			}
			return v, nil
		}
		if err != nil {
			return v, err
		}
	}
}

func (w *waiter) askEvents(ctx context.Context, s *sight) error {
	uids := []types.UID{w.uid}
	for _, pod := range s.pods {
		uids = append(uids, pod.UID)
	}
	events, at, err := w.recent(ctx, uids)
	if err == nil {
		s.events, s.eventsAt = events, at
		w.events, w.eventsAt = events, at
	}
	return err
}

func (w *waiter) askPods(ctx context.Context, s *sight) error {
	pods, err := w.listPods(ctx, w.uid)
	if err != nil {
		return err
	}
	s.pods, s.fresh, w.pods = pods, true, nil
	for _, pod := range pods {
		if _, err := strip(pod); err != nil {
			return err
		}
		w.pods = append(w.pods, pack(pod))
	}
	return nil
}

// listPods asks for the pods of the Job with this uid.
func (r *Runner) listPods(ctx context.Context, uid types.UID) ([]*corev1.Pod, error) {
	ctx, cancel := r.call(ctx)
	defer cancel()
	list, err := r.pods().List(ctx, metav1.ListOptions{LabelSelector: batchv1.ControllerUidLabel + "=" + string(uid)})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	var pods []*corev1.Pod
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	return pods, nil
}
