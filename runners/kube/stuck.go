package kube

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/runners"
	corev1 "k8s.io/api/core/v1"
)

// hitch is what keeps a command from starting.
type hitch struct {
	text  string        // in the cluster's words
	class runners.Class // what the job is ended with if it stays; "": nothing is wrong, it takes its time
	final bool          // it will stay
	look  time.Duration // how long it may last until only events can tell more; 0: they cannot
	least time.Duration // how long it may last before the job is ended, if that is more than others may
}

// stuck looks for what keeps the command from starting, and ends the job where nothing else will come of it.
func (v *verdict) stuck(s sight, pending time.Duration, now time.Time) {
	pod := s.pod()
	h, since := hitchOf(s, pod), s.since(pod)
	if h.look > 0 {
		look := s.nextLook(since, h.look)
		if !now.Before(look) {
			v.ask = askEvents
			return
		}
		v.next = look
	}
	until := since
	switch {
	case h.class == "": // It has all the time it wants, the log tells what it does with it.
		v.talk(h.text, since.Add(quietFor), now)
		return
	case h.final:
	case h.class == runners.Refused:
		until = since.Add(grace)
	default:
		until = since.Add(max(grace, pending, h.least))
	}
	v.waiting = h.text
	switch {
	case now.Before(until):
		v.next = earlier(v.next, until)
	case h.look > 0 && now.Sub(s.eventsAt) > time.Second:
		v.ask = askEvents // It may be mended by now.
	case !s.fresh:
		v.ask = askPods
	default:
		v.end = &ending{class: h.class, reason: "cannot start: " + h.text}
	}
}

// talk makes text worth a word from at on.
func (v *verdict) talk(text string, at, now time.Time) {
	if now.Before(at) {
		v.next = earlier(v.next, at)
		return
	}
	v.waiting = text
}

// since is when the wait began that pod is in.
func (s sight) since(pod *corev1.Pod) time.Time {
	since := s.job.CreationTimestamp.Time
	if start := s.job.Status.StartTime; start != nil && start.After(since) {
		since = start.Time
	}
	if pod == nil {
		return since
	}
	since = pod.CreationTimestamp.Time
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.LastTransitionTime.After(since) {
			since = c.LastTransitionTime.Time
		}
	}
	if clone := containerState(pod, cloneContainer).Terminated; clone != nil && clone.FinishedAt.After(since) {
		since = clone.FinishedAt.Time
	}
	return since
}

// nextLook is when events are worth asking for (again).
func (s sight) nextLook(since time.Time, first time.Duration) time.Time {
	return since.Add(max(first, 2*s.eventsAt.Sub(since)))
}

func hitchOf(s sight, pod *corev1.Pod) hitch {
	switch {
	case pod == nil && s.job.Spec.Suspend != nil && *s.job.Spec.Suspend:
		return hitch{text: "the Job is suspended (spec.suspend), and not by Millrace"}
	case pod == nil && s.job.Status.StartTime == nil:
		return hitch{text: "the Job controller has not taken up the Job yet"}
	case pod == nil:
		return podless(s.events)
	case pod.DeletionTimestamp != nil:
		return hitch{text: "its pod is being deleted"}
	}
	if i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled }); i >= 0 {
		switch c := pod.Status.Conditions[i]; {
		case c.Status == corev1.ConditionTrue:
			return held(s.job.Name, pod, s.events)
		case c.Reason == corev1.PodReasonUnschedulable:
			return hitch{text: "Unschedulable: " + c.Message, class: runners.Infrastructure}
		case c.Reason == corev1.PodReasonSchedulingGated:
			return hitch{text: c.Reason + ": " + c.Message}
		}
	}
	return hitch{text: "its pod has no node yet"}
}

// podless tells why a Job has no pod.
func podless(events []corev1.Event) hitch {
	said := newest(events, func(e *corev1.Event) bool { return e.Reason == "FailedCreate" || e.Reason == "SuccessfulCreate" })
	if said == nil || said.Type != corev1.EventTypeWarning {
		return hitch{text: "its pod is not made yet", look: lookPodless}
	}
	text := strings.TrimPrefix(said.Message, "Error creating: ")
	h := hitch{text: said.Reason + ": " + text, class: runners.Infrastructure, look: lookPodless}
	switch {
	case containsAny(text, "must specify"): // The quota counts something that the pod does not name.
		h.class, h.final = runners.Refused, true
	case containsAny(text, "quota", "not yet ready", "is being terminated"):
	case containsAny(text, "service account"):
		h.class = runners.Refused
	case containsAny(text, "is forbidden", "is invalid", "denied the request"):
		h.class, h.final = runners.Refused, true
	}
	return h
}

// held tells why a pod of the job that has a node does not run its command.
func held(job string, pod *corev1.Pod, events []corev1.Event) hitch {
	name := taskContainer
	for _, c := range pod.Spec.InitContainers {
		if state := containerState(pod, c.Name); state.Terminated == nil {
			name = c.Name
			break
		}
	}
	waiting := containerState(pod, name).Waiting
	if waiting == nil {
		if containerState(pod, name).Running != nil {
			return hitch{} // It is the clone, and it works.
		}
		return hitch{text: "its node has not taken it up yet"}
	}
	h := hitch{text: fmt.Sprintf("container %s: %s", name, waiting.Reason+": "+waiting.Message), class: runners.Infrastructure}
	switch waiting.Reason {
	case "InvalidImageName":
		h.class, h.final = runners.Refused, true
	case "CreateContainerConfigError", "ErrImageNeverPull":
		h.class = runners.Refused
		if ownSecret(job, waiting.Message) {
			h.class, h.least = runners.Infrastructure, remount
		}
	case "ErrImagePull", "ImagePullBackOff":
		return unpulled(h, name, waiting, events)
	case "ContainerCreating", "PodInitializing", "":
		return creating(job, name, events)
	}
	return h
}

// unpulled tells apart an image that is not there for us from a registry that is not there now.
func unpulled(h hitch, name string, waiting *corev1.ContainerStateWaiting, events []corev1.Event) hitch {
	cause := waiting.Message
	if !strings.Contains(cause, ": ") { // Kubernetes before 1.32 says why in an event only.
		h.look = lookPodless
		if e := newest(events, func(e *corev1.Event) bool {
			return e.Reason == "Failed" && strings.Contains(e.Message, "Failed to pull")
		}); e != nil {
			cause = e.Message
			h.text = fmt.Sprintf("container %s: %s: %s", name, waiting.Reason, cause)
		}
	}
	if containsAny(cause, "not found", "NotFound", "manifest unknown", "unauthorized", "authorization failed", "denied", "no match for platform", "no matching manifest", "403 Forbidden", "no basic auth") {
		h.class = runners.Refused
	}
	return h
}

// remount is how long a kubelet lets a volume be that it could not mount, before it tries again, and some.
const remount = 3 * time.Minute

// ownSecret tells whether it is the job's own Secret that a kubelet misses. That is made after the Job: who misses it has
// looked too early, and will look again.
func ownSecret(job, message string) bool {
	return strings.Contains(message, fmt.Sprintf("secret %q not found", job))
}

// creating tells what a container that is being made waits for, which its status does not.
func creating(job, name string, events []corev1.Event) hitch {
	h := hitch{text: fmt.Sprintf("container %s is being created", name), look: lookCreating}
	said := newest(events, func(e *corev1.Event) bool {
		return e.InvolvedObject.Kind == "Pod" && e.Reason != "Scheduled"
	})
	switch {
	case said == nil:
	case said.Type != corev1.EventTypeWarning:
		h.text += ": " + said.Message
	default:
		h.text, h.class = fmt.Sprintf("container %s: %s: %s", name, said.Reason, said.Message), runners.Infrastructure
		switch missing := absent(said); {
		case missing && ownSecret(job, said.Message):
			h.least = remount
		case missing:
			h.class = runners.Refused
		}
	}
	return h
}

// absent tells whether an event of a pod says that a Secret, a config map or an entry of one is not there: as a volume,
// or, before the container's status says so too, as environment.
func absent(e *corev1.Event) bool {
	switch e.Reason {
	case "FailedMount":
		return containsAny(e.Message, "not found", "references non-existent")
	case "Failed": // It tells of images and of what a runtime misses too.
		return containsAny(e.Message, "couldn't find key") ||
			containsAny(e.Message, "Error: secret ", "Error: configmap ") && containsAny(e.Message, "not found")
	}
	return false
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}
