package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace-ci/millrace/runners"
	"golang.org/x/sys/unix"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// cloneFinal is the exit code of container clone that means: trying again would not help.
const cloneFinal = 2

// lost is the result of a job that nobody can say the end of.
func lost(why string) runners.Result {
	return runners.Result{Class: runners.Lost, ExitCode: -1, Reason: "the job was lost: " + why}
}

// lost is the same, of a job that was seen: whether its command had started counts.
func (s sight) lost(why string) *runners.Result {
	res := lost(why)
	res.StartedAt = startedAt(s.pods)
	return &res
}

// ended is the result of a job whose pod has ended.
func (s sight) ended(pod *corev1.Pod) *runners.Result {
	res := runners.Result{ExitCode: -1, StartedAt: startedAt(s.pods), EndedAt: endedAt(pod)}
	task := containerState(pod, taskContainer).Terminated
	if task != nil && !res.StartedAt.IsZero() {
		res.ExitCode = int(task.ExitCode)
	}
	switch why, deadline := disruption(pod), s.deadline(); {
	case pod.Status.Phase == corev1.PodSucceeded:
		res.Class, res.ExitCode = runners.Succeeded, 0
	case why != "":
		res.Class, res.Reason = runners.Infrastructure, why
	case deadline != "" && !res.StartedAt.IsZero():
		res.Class, res.Reason = runners.Timeout, deadline
	case deadline != "":
		res.Class, res.Reason = runners.Infrastructure, "never started: "+deadline
	case task == nil || res.StartedAt.IsZero():
		res.Class, res.Reason = neverStarted(pod, task)
	case task.Reason == "ContainerStatusUnknown":
		return s.lost(task.Message)
	case pod.DeletionTimestamp != nil && task.ExitCode > 128:
		return s.lost("its pod was deleted, and not by Millrace")
	default:
		res.Class, res.Reason = runners.Failure, exitReason(pod, task)
	}
	return s.withMessage(res, pod)
}

// endedEarly is the result of a job that was ended before its command had ended by itself; or that was to be ended, and
// was faster. Kubernetes tells the end in whole seconds, which may be one too early.
func (s sight) endedEarly(pod *corev1.Pod) *runners.Result {
	at, err := time.Parse(time.RFC3339, s.job.Annotations[noteEndedAt])
	if err == nil && pod != nil && !live(pod) && !lastEnd(pod).IsZero() && !lastEnd(pod).Add(time.Second).After(at) {
		return s.ended(pod)
	}
	class := runners.Class(s.job.Annotations[noteEnded])
	res := runners.Result{Class: class, ExitCode: -1, Reason: s.job.Annotations[noteReason], StartedAt: startedAt(s.pods), EndedAt: at.UTC()}
	if res.Reason == "" {
		res.Reason = string(class)
	}
	if started, err := time.Parse(time.RFC3339, s.job.Annotations[noteStartedAt]); err == nil && res.StartedAt.IsZero() {
		res.StartedAt = started.UTC()
	}
	if pod == nil {
		return &res
	}
	if task := containerState(pod, taskContainer).Terminated; task != nil && !res.StartedAt.IsZero() {
		res.ExitCode = int(task.ExitCode)
	}
	if end := lastEnd(pod); !end.IsZero() {
		res.EndedAt = end
	}
	return s.withMessage(res, pod)
}

// endedUnseen is the result of a job that has ended and whose pod is gone. Because its command may have run, it is told
// as started.
func (s sight) endedUnseen() *runners.Result {
	res := runners.Result{ExitCode: -1, StartedAt: startedAt(s.pods)}
	if start := s.job.Status.StartTime; start != nil && res.StartedAt.IsZero() {
		res.StartedAt = start.UTC()
	}
	c := condition(s.job, batchv1.JobComplete, batchv1.JobFailed)
	res.EndedAt = c.LastTransitionTime.UTC()
	switch deadline := s.deadline(); {
	case c.Type == batchv1.JobComplete:
		res.Class, res.ExitCode, res.Reason = runners.Succeeded, 0, "its pod is gone: what it left in MILLRACE_OUTPUT is lost"
	case deadline != "":
		res.Class, res.Reason = runners.Timeout, deadline
	default:
		res.Class, res.Reason = runners.Lost, "the job was lost: its pod is gone, and not by Millrace: "+c.Message
	}
	return &res
}

// deadline is why the cluster itself ended the job by its net for timeouts, "" if it did not.
func (s sight) deadline() string {
	c := condition(s.job, batchv1.JobFailureTarget, batchv1.JobFailed)
	switch {
	case c == nil || c.Reason != batchv1.JobReasonDeadlineExceeded:
		return ""
	case s.job.Annotations[noteTimeout] != "":
		return tooLong(s.job)
	}
	return c.Message
}

// disruption is why the cluster took the pod away, "" if it did not.
func disruption(pod *corev1.Pod) string {
	said := pod.Status.Message
	reason := pod.Status.Reason
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			if reason == "" {
				reason = c.Reason
			}
			if said == "" {
				said = c.Message
			}
		}
	}
	if reason == "" || live(pod) {
		return ""
	}
	return "the cluster ended its pod: " + reason + ": " + said
}

// neverStarted tells why a pod ended whose command never ran.
func neverStarted(pod *corev1.Pod, task *corev1.ContainerStateTerminated) (runners.Class, string) {
	if clone := containerState(pod, cloneContainer).Terminated; clone != nil && (clone.ExitCode != 0 || clone.Reason == "OOMKilled") {
		class := runners.Infrastructure
		if clone.ExitCode == cloneFinal {
			class = runners.Refused
		}
		said := strings.TrimSpace(clone.Message)
		if said == "" || clone.Reason == "OOMKilled" || clone.Reason == "StartError" {
			said = fmt.Sprintf("container %s ended with exit code %d: %s", cloneContainer, clone.ExitCode, clone.Reason+" "+clone.Message)
		}
		return class, said
	}
	if task == nil {
		return runners.Infrastructure, "its pod failed before the command started " + pod.Status.Message
	}
	said := "the command cannot be started: " + task.Message
	for _, mistake := range []string{"executable file not found", "no such file or directory", "permission denied", "exec format error", "is a directory"} {
		if strings.Contains(task.Message, mistake) {
			return runners.Refused, said
		}
	}
	return runners.Infrastructure, said
}

// exitReason says how the command failed.
func exitReason(pod *corev1.Pod, task *corev1.ContainerStateTerminated) string {
	if task.Reason == "OOMKilled" {
		limit := "its node's memory"
		i := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == taskContainer })
		if i >= 0 && !pod.Spec.Containers[i].Resources.Limits.Memory().IsZero() {
			limit = "its limit of " + pod.Spec.Containers[i].Resources.Limits.Memory().String()
		}
		return fmt.Sprintf("out of memory (OOMKilled, exit code %d): it needed more than %s; ask for more memory, or let it use less", task.ExitCode, limit)
	}
	if name := unix.SignalName(unix.Signal(task.ExitCode - 128)); task.ExitCode > 128 && name != "" {
		return fmt.Sprintf("exit code %d (%s)", task.ExitCode, name)
	}
	return fmt.Sprintf("exit code %d", task.ExitCode)
}

// withMessage adds to res what the command left in its termination message. What cannot be read fails a success alone.
func (s sight) withMessage(res runners.Result, pod *corev1.Pod) *runners.Result {
	task := containerState(pod, taskContainer).Terminated
	if task == nil || res.StartedAt.IsZero() {
		return &res
	}
	outputs, summary, err := s.read(task.Message, messageLimit(pod))
	if err != nil && res.Class == runners.Succeeded {
		res.Class, res.Reason = runners.Failure, "MILLRACE_OUTPUT is not valid: "+err.Error()
	}
	if res.Summary = summary; len(outputs) > 0 {
		res.Outputs = outputs
	}
	return &res
}

// messageLimit is how many bytes of a termination message the kubelet keeps: the last ones, and it does not say so
// (kubelet, MaxContainerTerminationMessageLength and MaxPodTerminationMessageLogLength).
func messageLimit(pod *corev1.Pod) int {
	return min(4096, 12288/max(1, len(pod.Spec.InitContainers)+len(pod.Spec.Containers)))
}

func (s sight) read(message string, limit int) (outputs map[string]string, summary string, err error) {
	if len(message) >= limit {
		return nil, "", fmt.Errorf("it is too large: the cluster keeps less than %d bytes; send more by the API", limit)
	}
	if note := s.job.Annotations[noteOutputs]; note != "" {
		var want map[string]runners.Part
		if err := json.Unmarshal([]byte(note), &want); err != nil {
			return nil, "", errors.New("the job's annotation " + noteOutputs + " is not valid")
		}
		outputs, err = runners.ParseMessage(message, want)
		return outputs, "", err
	}
	text, summary, _ := strings.Cut("\n"+message, "\n"+summaryMark+"\n")
	outputs, err = runners.ParseOutputs([]byte(strings.TrimPrefix(text, "\n")))
	return outputs, summary, err
}

// endedAt is when the last container of pod ended; if none is known to, when the cluster last said something about it.
func endedAt(pod *corev1.Pod) time.Time {
	if end := lastEnd(pod); !end.IsZero() {
		return end
	}
	var changed time.Time
	for _, c := range pod.Status.Conditions {
		changed = later(changed, c.LastTransitionTime.UTC())
	}
	return changed
}

// lastEnd is when the last container of pod ended, zero if none is known to.
func lastEnd(pod *corev1.Pod) time.Time {
	var end time.Time
	for _, name := range []string{cloneContainer, taskContainer} {
		if t := containerState(pod, name).Terminated; t != nil {
			end = later(end, t.FinishedAt.UTC())
		}
	}
	return end
}

// oneLine makes the cluster's words one line of a bounded length. What must be hidden in them is hidden before: see hider.
func oneLine(text string) string { return clip(strings.Join(strings.Fields(text), " "), 1000) }

// clip cuts text to at most n bytes, at a rune's border.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n -= len("..."); n > 0 && !utf8.RuneStart(text[n]); n-- {
	}
	return text[:n] + "..."
}
