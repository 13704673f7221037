package kube

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-ci/millrace/runners"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

const (
	// grace is how long a job that cannot start as it is may try: somebody may just be making what it lacks (E4).
	grace = 30 * time.Second
	// quietFor is how long a wait may take before it is worth a word.
	quietFor = 3 * time.Second
	// lookPodless and lookCreating are how long the Job controller may take to make a pod, and a node to make a container,
	// before events are asked for; the time doubles with each look. A cluster keeps events where each question reads them
	// all, so what goes its way is not asked about.
	lookPodless  = 2 * time.Second
	lookCreating = 10 * time.Second
)

// sight is what is known of one job at a moment.
type sight struct {
	job      *batchv1.Job   // nil: there is none of this name and uid
	pods     []*corev1.Pod  // that the job controls, oldest first; with job nil, or fresh, they may be some that are gone
	events   []corev1.Event // of the job and its pods, as of eventsAt
	eventsAt time.Time      // zero: they were not asked for yet
	fresh    bool           // pods come from a list made just now: what is not among them is gone
}

// ask is what a judge wants to know besides.
type ask int

const (
	askNothing ask = iota
	askEvents      // list the events of the job and its pods
	askPods        // list the pods
)

// verdict is what a sight means.
type verdict struct {
	result  *runners.Result // how the job ended; nil while it has not
	end     *ending         // the job is to be ended now
	ask     ask             // what is to be found out, to judge again at once
	next    time.Time       // when to judge again even if nothing changes; zero: only a change matters
	waiting string          // what keeps the command from starting, in the cluster's words; "" when nothing is worth a word
	started time.Time       // when the command started; zero before
}

// judge tells what to make of s. It is pure: the same sight at the same time means the same.
func judge(s sight, pending time.Duration, now time.Time) verdict {
	v := verdict{started: startedAt(s.pods)}
	pod := s.pod()
	switch {
	case s.job == nil:
		v.result = s.lost("it is not in the cluster any more")
	case stopped(s.job):
		if !quiet(s.job, s.pods) {
			return v
		}
		v.result = s.endedEarly(pod)
	case pod != nil && s.concluded(pod):
		v.result = s.ended(pod)
	case finished(s.job) && !s.fresh:
		v.ask = askPods // The watch of pods may be behind the watch of Jobs.
	case finished(s.job):
		v.result = s.endedUnseen()
	case !v.started.IsZero():
		v.running(s.job, now)
	default:
		v.stuck(s, pending, now)
	}
	return v
}

// pod is the one that counts. There is one, but for a Job controller that lost count.
func (s sight) pod() *corev1.Pod {
	for _, want := range []func(*corev1.Pod) bool{
		func(p *corev1.Pod) bool { return !startedAt([]*corev1.Pod{p}).IsZero() },
		func(p *corev1.Pod) bool { return p.DeletionTimestamp == nil },
		func(*corev1.Pod) bool { return true },
	} {
		if i := slices.IndexFunc(s.pods, want); i >= 0 {
			return s.pods[i]
		}
	}
	return nil
}

// concluded tells whether nothing of pod runs any more and why is known: of a pod that is being deleted, the Job may
// have to say why.
func (s sight) concluded(pod *corev1.Pod) bool {
	return !live(pod) && (pod.DeletionTimestamp == nil || pod.Status.Phase == corev1.PodSucceeded || disruption(pod) != "" || finished(s.job))
}

// running ends a command that has had its time. Kubernetes tells the start in whole seconds, which may be one too early.
func (v *verdict) running(job *batchv1.Job, now time.Time) {
	timeout, err := time.ParseDuration(job.Annotations[noteTimeout])
	if err != nil || timeout <= 0 {
		return
	}
	if v.next = v.started.Add(timeout + time.Second); !now.Before(v.next) {
		v.next, v.end = time.Time{}, &ending{class: runners.Timeout, reason: tooLong(job), started: v.started}
	}
}

func tooLong(job *batchv1.Job) string {
	return "ran longer than its timeout of " + job.Annotations[noteTimeout]
}

// ending is why a job is ended before its command has ended by itself.
type ending struct {
	class   runners.Class
	reason  string
	started time.Time // when the command did, zero if it did not or nobody knows
}

// patch is the merge patch (RFC 7386) that ends job: it says why, and suspends it. It names the version that was judged,
// so that the cluster refuses it, as a conflict, when the job has changed since.
func (e ending) patch(job *batchv1.Job, now time.Time) ([]byte, error) {
	notes := map[string]string{
		noteEnded: string(e.class), noteEndedAt: now.UTC().Format(time.RFC3339Nano), noteReason: clip(e.reason, 1024),
	}
	if !e.started.IsZero() {
		notes[noteStartedAt] = e.started.UTC().Format(time.RFC3339)
	}
	data, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": job.ResourceVersion, "annotations": notes},
		"spec":     map[string]any{"suspend": true},
	})
	if err != nil {
		return nil, fmt.Errorf("end job: %w", err)
	}
	return data, nil
}

// stopped tells whether job was ended early.
func stopped(job *batchv1.Job) bool { return job.Annotations[noteEnded] != "" }

// finished tells whether job has ended as far as its controller is concerned.
func finished(job *batchv1.Job) bool {
	return condition(job, batchv1.JobComplete) != nil || condition(job, batchv1.JobFailed) != nil
}

// over tells whether the job has ended by itself, whether its controller knows it yet or not: stopping it changes nothing.
func over(job *batchv1.Job, pods []*corev1.Pod) bool {
	return finished(job) || !stopped(job) && slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return !live(p) && p.DeletionTimestamp == nil })
}

// condition is job's condition of one of these types, if it holds.
func condition(job *batchv1.Job, types ...batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range job.Status.Conditions {
		if c := &job.Status.Conditions[i]; slices.Contains(types, c.Type) && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// startedAt is when container task started in one of pods, zero if it did not.
func startedAt(pods []*corev1.Pod) time.Time {
	for _, pod := range pods {
		switch state := containerState(pod, taskContainer); {
		case state.Running != nil:
			return state.Running.StartedAt.UTC()
		case state.Terminated != nil && state.Terminated.StartedAt.Unix() > 0: // The epoch: it could not be started.
			return state.Terminated.StartedAt.UTC()
		}
	}
	return time.Time{}
}

// containerState is the state of one of pod's containers; of one that nothing is known of, no field is set.
func containerState(pod *corev1.Pod, name string) corev1.ContainerState {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			if statuses[i].Name == name {
				return statuses[i].State
			}
		}
	}
	return corev1.ContainerState{}
}
