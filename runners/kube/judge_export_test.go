package kube

import (
	"time"

	"github.com/millrace-ci/millrace/runners"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// Sight is what a test shows a judge.
type Sight struct {
	Job      *batchv1.Job
	Pods     []*corev1.Pod
	Events   []corev1.Event
	EventsAt time.Time
	Fresh    bool
}

// Verdict is what the judge makes of it.
type Verdict struct {
	Result    *runners.Result
	Class     runners.Class // the job is to be ended with
	Reason    string        // that is why
	AskEvents bool
	AskPods   bool
	Next      time.Time
	Waiting   string
	Started   time.Time
}

func (s Sight) sight() sight {
	return sight{job: s.Job, pods: s.Pods, events: s.Events, eventsAt: s.EventsAt, fresh: s.Fresh}
}

// Judge judges, and makes reasons what a waiter without secrets would.
func (s Sight) Judge(pending time.Duration, now time.Time) Verdict {
	v := judge(s.sight(), pending, now)
	out := Verdict{Result: v.result, AskEvents: v.ask == askEvents, AskPods: v.ask == askPods, Next: v.next, Waiting: oneLine(v.waiting), Started: v.started}
	if v.result != nil {
		v.result.Reason = oneLine(v.result.Reason)
	}
	if v.end != nil {
		out.Class, out.Reason = v.end.class, oneLine(v.end.reason)
	}
	return out
}

// End is the patch that ends job.
func End(job *batchv1.Job, class runners.Class, reason string, started, now time.Time) ([]byte, error) {
	return ending{class, reason, started}.patch(job, now)
}

// Over and ReferencedSecrets are what they are called.
var (
	Over              = over
	ReferencedSecrets = referencedSecrets
)
