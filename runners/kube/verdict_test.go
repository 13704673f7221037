package kube_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/kube"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// pendingFor is a pending timeout longer than the grace.
const pendingFor = 2 * time.Minute

// recorded is what a real cluster said of a job (Kubernetes 1.34, containerd), as it was seen once.
func recorded(t testing.TB, name string) kube.Sight {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "objects", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var s kube.Sight
	for doc := range bytes.SplitSeq(data, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		var pod corev1.Pod
		var event corev1.Event
		into := func(object any) {
			if err := yaml.UnmarshalStrict(doc, object); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			t.Fatal(err)
		}
		switch kind.Kind {
		case "Job":
			s.Job = new(batchv1.Job)
			into(s.Job)
		case "Pod":
			into(&pod)
			s.Pods = append(s.Pods, &pod)
		case "Event":
			into(&event)
			s.Events = append(s.Events, event)
		}
	}
	return s
}

// made is when the job of s was made.
func made(s kube.Sight) time.Time { return s.Job.CreationTimestamp.Time }

func TestEnded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		class  runners.Class
		code   int
		reason string
		ran    bool
	}{
		{"succeeded", runners.Succeeded, 0, "", true},
		{"exit-code", runners.Failure, 42, "exit code 42", true},
		{"signal", runners.Failure, 137, "exit code 137 (SIGKILL)", true},
		{"oom", runners.Failure, 137, "out of memory (OOMKilled, exit code 137): it needed more than its limit of 32Mi; ask for more memory, or let it use less", true},
		{"no-command", runners.Refused, -1, `the command cannot be started: failed to create containerd task: failed to create shim task: OCI runtime create failed: ` +
			`runc create failed: unable to start container process: exec: "nothing-of-this-name": executable file not found in $PATH: unknown`, false},
		{"clone-failed", runners.Infrastructure, -1, "the server has no such commit", false},
		{"evicted", runners.Infrastructure, 137, `the cluster ended its pod: Evicted: Usage of EmptyDir volume "w" exceeds the limit "1Mi".`, true},
		{"disrupted", runners.Infrastructure, 137, "the cluster ended its pod: EvictionByEvictionAPI: Eviction API: evicting", true},
		{"deleted", runners.Lost, -1, "the job was lost: its pod was deleted, and not by Millrace", true},
		{"deleted-gone", runners.Lost, -1, "the job was lost: its pod is gone, and not by Millrace: Job has reached the specified backoff limit", true},
		{"deadline", runners.Timeout, -1, "Job was active longer than specified deadline", true},
		{"stopped", runners.Canceled, 137, "canceled", true},
		{"stopped-gone", runners.Canceled, -1, "canceled", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := recorded(t, c.name)
			s.Fresh = len(s.Pods) == 0
			v := s.Judge(pendingFor, made(s).Add(time.Hour))
			if v.Result == nil {
				t.Fatalf("got %+v, want a result", v)
			}
			res := *v.Result
			if res.Class != c.class || res.ExitCode != c.code || res.Reason != c.reason || res.StartedAt.IsZero() == c.ran {
				t.Errorf("got %+v, want %+v", res, c)
			}
			if c.class != runners.Lost && (res.EndedAt.IsZero() || res.EndedAt.Before(res.StartedAt)) {
				t.Errorf("got end %s before start %s", res.EndedAt, res.StartedAt)
			}
			if c.class != runners.Canceled && !kube.Over(s.Job, s.Pods) {
				t.Error("over: got false, want true")
			}
		})
	}
}

func TestCannotStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		class  runners.Class
		after  time.Duration // since the job was made, about
		reason string
	}{
		{"image-name", runners.Refused, 0, `cannot start: container task: InvalidImageName: Failed to apply default image tag "127.0.0.1:5000/Busy Box": ` +
			`couldn't parse image name "127.0.0.1:5000/Busy Box": invalid reference format: repository name (Busy Box) must be lowercase`},
		{"image-missing", runners.Refused, 30 * time.Second, `cannot start: container task: ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image ` +
			`"127.0.0.1:5000/nothing:1": failed to resolve reference "127.0.0.1:5000/nothing:1": 127.0.0.1:5000/nothing:1: not found`},
		{"registry-away", runners.Infrastructure, pendingFor, `cannot start: container task: ImagePullBackOff: Back-off pulling image "127.0.0.1:5999/busybox:1": ErrImagePull: ` +
			`failed to pull and unpack image "127.0.0.1:5999/busybox:1": failed to resolve reference "127.0.0.1:5999/busybox:1": failed to do request: ` +
			`Head "http://127.0.0.1:5999/v2/busybox/manifests/1": dial tcp 127.0.0.1:5999: connect: connection refused`},
		{"secret-env", runners.Refused, 30 * time.Second, `cannot start: container task: CreateContainerConfigError: secret "absent" not found`},
		{"secret-key", runners.Refused, 30 * time.Second, `cannot start: container task: CreateContainerConfigError: couldn't find key k in Secret k3-cases/present`},
		{"configmap-env", runners.Refused, 30 * time.Second, `cannot start: container task: CreateContainerConfigError: configmap "absent" not found`},
		{"secret-volume", runners.Refused, 30 * time.Second, `cannot start: container task: FailedMount: MountVolume.SetUp failed for volume "s" : secret "absent" not found`},
		{"account", runners.Refused, 30 * time.Second, `cannot start: FailedCreate: pods "account-" is forbidden: error looking up service account k3-cases/absent: serviceaccount "absent" not found`},
		{"quota", runners.Infrastructure, pendingFor, `is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0`},
		{"pod-security", runners.Refused, 2 * time.Second, `is forbidden: violates PodSecurity "restricted:latest": privileged`},
		{"unschedulable", runners.Infrastructure, pendingFor, `cannot start: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: ` +
			`0/1 nodes are available: 1 Preemption is not helpful for scheduling.`},
		{"selector", runners.Infrastructure, pendingFor, `cannot start: Unschedulable: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.`},
		{"oom-start", runners.Infrastructure, pendingFor, `container init was OOM-killed (memory limit too low?): unknown`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := watch(t, recorded(t, c.name), time.Hour)
			if w.end.Class != c.class || !strings.Contains(w.end.Reason, c.reason) {
				t.Errorf("got %s %q,\nwant %s %q", w.end.Class, w.end.Reason, c.class, c.reason)
			}
			if late := w.at - c.after; late < 0 || late > 5*time.Second {
				t.Errorf("ended %s after it was made, want %s", w.at, c.after)
			}
			if w.end.Reason != "cannot start: "+w.told || w.toldAt > 10*time.Second {
				t.Errorf("told %q after %s, want the reason within seconds", w.told, w.toldAt)
			}
			if w.lists > 12 {
				t.Errorf("events were listed %d times", w.lists)
			}
			if kube.Over(w.sight.Job, w.sight.Pods) {
				t.Error("over: got true, want false")
			}
		})
	}
}

func TestWaitsOn(t *testing.T) {
	t.Parallel()
	podless := recorded(t, "running")
	podless.Pods, podless.Events = nil, nil
	untaken := recorded(t, "running")
	untaken.Pods, untaken.Events, untaken.Job.Status.StartTime = nil, nil, nil
	creating := recorded(t, "secret-volume")
	creating.Events = nil
	for name, c := range map[string]struct {
		sight kube.Sight
		told  string
		lists int
	}{
		"running":       {recorded(t, "running"), "", 0},
		"suspended":     {recorded(t, "suspended"), "the Job is suspended (spec.suspend), and not by Millrace", 0},
		"not taken up":  {untaken, "the Job controller has not taken up the Job yet", 0},
		"no pod":        {podless, "its pod is not made yet", 15},
		"being created": {creating, "container task is being created", 12},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watch(t, c.sight, 10*time.Hour)
			if w.end.Class != "" || w.told != c.told || w.lists != c.lists {
				t.Errorf("got %+v, want it to wait, and %q", w, c.told)
			}
		})
	}
}

// TestEventsAreAskedForAgain has a mount that failed and that may work by now: old events end no job.
func TestEventsAreAskedForAgain(t *testing.T) {
	t.Parallel()
	s := recorded(t, "secret-volume")
	late := made(s).Add(45 * time.Second)
	s.EventsAt = made(s).Add(40 * time.Second)
	if v := s.Judge(pendingFor, late); v.Class != "" || !v.AskEvents {
		t.Errorf("got %+v, want the events asked for", v)
	}
	failed := s.Events[len(s.Events)-1]
	mended := corev1.Event{InvolvedObject: failed.InvolvedObject, Type: "Normal", Reason: "Pulling", Message: "Pulling image", LastTimestamp: failed.LastTimestamp}
	for i, e := range s.Events {
		if e.LastTimestamp.After(mended.LastTimestamp.Time) {
			mended.LastTimestamp = s.Events[i].LastTimestamp
		}
	}
	s.Events, s.EventsAt = append(s.Events, mended), late
	if v := s.Judge(pendingFor, late); v.Class != "" || v.Waiting != "container task is being created: Pulling image" {
		t.Errorf("got %+v, want it to wait for the image", v)
	}
}

// watched is what came of watching a job of which nothing changes.
type watched struct {
	sight  kube.Sight
	end    kube.Verdict
	at     time.Duration // when it was ended, since it was made
	told   string
	toldAt time.Duration
	lists  int
}

// watch does what a Wait does, with a clock that jumps to where something is to be done, for some time.
func watch(t *testing.T, s kube.Sight, patience time.Duration) watched {
	t.Helper()
	w := watched{sight: s}
	events := s.Events
	s.Events = nil
	for now := made(s); now.Before(made(s).Add(patience)); {
		v := s.Judge(pendingFor, now)
		if v.Waiting != "" && v.Waiting != w.told {
			w.told, w.toldAt = v.Waiting, now.Sub(made(s))
		}
		s.Fresh = false
		switch {
		case v.Class != "":
			w.end, w.at = v, now.Sub(made(s))
			return w
		case v.Result != nil:
			t.Fatalf("got %+v, want no result", v.Result)
		case v.AskEvents:
			w.lists++
			if s.EventsAt.Equal(now) {
				t.Fatalf("asked for events twice at once, after %s", now.Sub(made(s)))
			}
			s.Events, s.EventsAt = events, now
		case v.AskPods:
			s.Fresh = true
		case v.Next.IsZero():
			return w
		case !v.Next.After(now):
			t.Fatalf("next judgement %s after the job was made is not later than %s", v.Next.Sub(made(s)), now.Sub(made(s)))
		default:
			now = v.Next
		}
	}
	return w
}

func TestNoPodMeansNoneOnlyWhenListed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"succeeded", "exit-code", "deadline"} {
		s := recorded(t, name)
		s.Pods = nil
		if v := s.Judge(pendingFor, made(s).Add(time.Hour)); v.Result != nil || !v.AskPods {
			t.Errorf("%s: got %+v, want the pods asked for", name, v)
		}
		s.Fresh = true
		if v := s.Judge(pendingFor, made(s).Add(time.Hour)); v.Result == nil || v.Result.StartedAt.IsZero() || v.Result.EndedAt.IsZero() {
			t.Errorf("%s: got %+v, want a result, and that it may have run", name, v)
		}
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	s := recorded(t, "running")
	started := s.Pods[0].Status.ContainerStatuses[0].State.Running.StartedAt.UTC()
	s.Job.Annotations = map[string]string{"millrace.dev/timeout": "1m30s"}
	early := s.Judge(pendingFor, started.Add(90*time.Second))
	if early.Class != "" || !early.Next.After(started.Add(90*time.Second)) || !early.Started.Equal(started) {
		t.Errorf("got %+v, want it to run on, and to be judged again", early)
	}
	late := s.Judge(pendingFor, early.Next)
	if late.Class != runners.Timeout || late.Reason != "ran longer than its timeout of 1m30s" {
		t.Errorf("got %+v, want a timeout", late)
	}
	patch, err := kube.End(s.Job, late.Class, late.Reason, late.Started, early.Next)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(patch, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"metadata": map[string]any{"resourceVersion": s.Job.ResourceVersion, "annotations": map[string]any{
			"millrace.dev/ended": "timeout", "millrace.dev/ended-at": early.Next.UTC().Format(time.RFC3339Nano),
			"millrace.dev/ended-reason": "ran longer than its timeout of 1m30s", "millrace.dev/started-at": started.Format(time.RFC3339),
		}},
		"spec": map[string]any{"suspend": true},
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}
}

// TestStopRaces has jobs that are ended early: who was first counts, as far as the cluster's clock of whole seconds can tell.
func TestStopRaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		late  time.Duration // of the stop, after the command's end as the cluster tells it
		class runners.Class
	}{
		{"exit-code", 1500 * time.Millisecond, runners.Failure},
		{"exit-code", 500 * time.Millisecond, runners.Canceled},
		{"exit-code", -time.Second, runners.Canceled},
		{"succeeded", 1500 * time.Millisecond, runners.Succeeded},
		{"succeeded", -time.Second, runners.Canceled},
	} {
		s := recorded(t, c.name)
		end := s.Pods[0].Status.ContainerStatuses[0].State.Terminated.FinishedAt
		s.Job.Annotations = map[string]string{"millrace.dev/ended": "canceled", "millrace.dev/ended-at": end.Add(c.late).Format(time.RFC3339Nano), "millrace.dev/ended-reason": "canceled"}
		v := s.Judge(pendingFor, end.Add(time.Hour))
		if v.Result == nil || v.Result.Class != c.class || v.Result.StartedAt.IsZero() {
			t.Errorf("%s stopped %s after its end: got %+v, want %s", c.name, c.late, v.Result, c.class)
		}
	}
	alive := recorded(t, "running")
	alive.Job.Annotations = map[string]string{"millrace.dev/ended": "canceled", "millrace.dev/ended-at": "2026-11-23T04:00:00Z"}
	if v := alive.Judge(pendingFor, made(alive).Add(time.Hour)); v.Result != nil || v.Class != "" {
		t.Errorf("a job that is ending: got %+v, want no result", v)
	}
	gone := recorded(t, "stopped-gone")
	gone.Job.Annotations["millrace.dev/started-at"] = "2026-11-23T03:55:09Z"
	if v := gone.Judge(pendingFor, made(gone).Add(time.Hour)); v.Result == nil || v.Result.StartedAt.IsZero() {
		t.Errorf("a job that was ended, without its pod: got %+v, want that it had started", v.Result)
	}
}

// TestNodeLost has a pod whose node went away for good: nobody says how its container ended.
func TestNodeLost(t *testing.T) {
	t.Parallel()
	s := recorded(t, "running")
	lost := metav1.NewTime(made(s).Add(time.Hour))
	s.Pods[0].Status.Phase = corev1.PodFailed
	s.Pods[0].Status.Conditions = append(s.Pods[0].Status.Conditions, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC", Message: "PodGC: node no longer exists", LastTransitionTime: lost,
	})
	res := s.Judge(pendingFor, lost.Add(time.Second)).Result
	if res == nil || res.Class != runners.Infrastructure || res.ExitCode != -1 || res.StartedAt.IsZero() || !res.EndedAt.Equal(lost.Time) {
		t.Errorf("got %+v, want that it had started, and ended at %s for the cluster's own reason", res, lost)
	}
}

func TestLostJob(t *testing.T) {
	t.Parallel()
	s := recorded(t, "running")
	s.Job = nil
	if v := s.Judge(pendingFor, time.Now()); v.Result == nil || v.Result.Class != runners.Lost || v.Result.StartedAt.IsZero() {
		t.Errorf("got %+v, want a lost job that had started", v.Result)
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	kaniko := `{"IMAGE":"image","IMAGE_DIGEST":"image_digest"}`
	for name, c := range map[string]struct {
		message, outputs string
		class            runners.Class
		want             map[string]string
		summary, reason  string
	}{
		"nothing":            {class: runners.Succeeded},
		"dotenv":             {message: "A=1\nB='2\n3'\n", class: runners.Succeeded, want: map[string]string{"A": "1", "B": "2\n3"}},
		"and a summary":      {message: "A=1\n# millrace: summary\n# Fine\nB=2\n", class: runners.Succeeded, want: map[string]string{"A": "1"}, summary: "# Fine\nB=2\n"},
		"a summary alone":    {message: "# millrace: summary\n# Fine\n", class: runners.Succeeded, summary: "# Fine\n"},
		"no dotenv":          {message: "A=1\nnonsense\n", class: runners.Failure, reason: "MILLRACE_OUTPUT is not valid: line 2"},
		"too large":          {message: "A=" + strings.Repeat("x", 4094), class: runners.Failure, reason: "less than 4096 bytes"},
		"as large as can be": {message: "A=" + strings.Repeat("x", 4093), class: runners.Succeeded, want: map[string]string{"A": strings.Repeat("x", 4093)}},
		"kaniko": {
			message: "r.example.com/a:1@sha256:5\n", outputs: kaniko, class: runners.Succeeded,
			want: map[string]string{"IMAGE": "r.example.com/a@sha256:5", "IMAGE_DIGEST": "sha256:5"},
		},
		"kaniko said else":    {message: "no idea", outputs: kaniko, class: runners.Failure, reason: "no name of an image"},
		"a broken annotation": {message: "x", outputs: "{", class: runners.Failure, reason: "not valid"},
	} {
		s := recorded(t, "succeeded")
		s.Job.Annotations = map[string]string{"millrace.dev/outputs": c.outputs}
		s.Pods[0].Status.ContainerStatuses[0].State.Terminated.Message = c.message
		res := s.Judge(pendingFor, made(s).Add(time.Hour)).Result
		if res == nil || res.Class != c.class || res.ExitCode != 0 || res.Summary != c.summary || !strings.Contains(res.Reason, c.reason) {
			t.Errorf("%s: got %+v, want %+v", name, res, c)
			continue
		}
		if diff := cmp.Diff(c.want, res.Outputs); diff != "" {
			t.Errorf("%s: outputs (-want +got):\n%s", name, diff)
		}
	}
}

func TestMessageOfSeveralContainers(t *testing.T) {
	t.Parallel()
	s := recorded(t, "exit-code")
	pod := s.Pods[0]
	pod.Spec.InitContainers = make([]corev1.Container, 5)
	terminated := pod.Status.ContainerStatuses[0].State.Terminated
	terminated.Message = "A=" + strings.Repeat("x", 12288/6-3)
	if res := s.Judge(pendingFor, made(s).Add(time.Hour)).Result; res.Class != runners.Failure || res.Reason != "exit code 42" || len(res.Outputs) != 1 {
		t.Errorf("got %+v, want the output of a command that failed", res)
	}
	terminated.Message += "x"
	if res := s.Judge(pendingFor, made(s).Add(time.Hour)).Result; res.Reason != "exit code 42" || res.Outputs != nil {
		t.Errorf("got %+v, want the command's own failure and no outputs", res)
	}
}

func TestReferencedSecrets(t *testing.T) {
	t.Parallel()
	ref := func(name, key string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key}}
	}
	item := []corev1.KeyToPath{{Key: "k", Path: "p"}}
	projected := func(name string, items []corev1.KeyToPath) corev1.VolumeProjection {
		return corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Items: items}}
	}
	var job batchv1.Job
	job.Spec.Template.Spec = corev1.PodSpec{
		InitContainers: []corev1.Container{{Env: []corev1.EnvVar{{Name: "A", ValueFrom: ref("d", "1")}}}},
		Containers:     []corev1.Container{{Env: []corev1.EnvVar{{Name: "B", ValueFrom: ref("c", "1")}, {Name: "C", ValueFrom: ref("d", "2")}, {Name: "E", ValueFrom: ref("b", "1")}, {Name: "D", Value: "x"}}}},
		Volumes: []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "b"}}},
			{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				projected("a", item), projected("a", nil), projected("e", item), {},
			}}}},
			{},
		},
	}
	got := map[string][]string(kube.ReferencedSecrets(&job))
	want := map[string][]string{"a": nil, "b": nil, "c": {"1"}, "d": {"1", "2"}, "e": {"k"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Secrets and entries (-want +got):\n%s", diff)
	}
}

// TestStatusLagsBehindEvents has containers whose status does not say yet what their events do.
func TestStatusLagsBehindEvents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		class runners.Class
		after time.Duration
		told  string
	}{
		"secret-env":    {runners.Refused, 30 * time.Second, `container task: Failed: Error: secret "absent" not found`},
		"secret-key":    {runners.Refused, 30 * time.Second, `container task: Failed: Error: couldn't find key k in Secret k3-cases/present`},
		"configmap-env": {runners.Refused, 30 * time.Second, `container task: Failed: Error: configmap "absent" not found`},
		"sandbox":       {runners.Infrastructure, pendingFor, `container task: Failed: Error: sandbox "5f" not found`},
		"own-secret":    {runners.Infrastructure, 3 * time.Minute, `container task: Failed: Error: secret "secret-env" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watch(t, lagging(t, name), time.Hour)
			if w.end.Class != c.class || w.told != c.told {
				t.Errorf("got %s %q,\nwant %s %q", w.end.Class, w.told, c.class, c.told)
			}
			if late := w.at - c.after; late < 0 || late > 5*time.Second {
				t.Errorf("ended %s after it was made, want %s", w.at, c.after)
			}
		})
	}
}

// lagging is a recorded sight, or one that was made of one, in which the container is still being created, and its
// failure is the newest event.
func lagging(t *testing.T, name string) kube.Sight {
	t.Helper()
	said := map[string]string{"sandbox": `Error: sandbox "5f" not found`, "own-secret": `Error: secret "secret-env" not found`}[name]
	if said != "" {
		name = "secret-env"
	}
	s := recorded(t, name)
	s.Pods[0].Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	for i := range s.Events {
		if e := &s.Events[i]; e.Reason == "Failed" {
			e.LastTimestamp.Time = e.LastTimestamp.Add(time.Second)
			if said != "" {
				e.Message = said
			}
		}
	}
	return s
}

// TestOwnSecretComesLate has a pod whose kubelet looked for the attempt's own Secret before it was made: that is nobody's
// fault, and the kubelet looks again.
func TestOwnSecretComesLate(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"secret-volume", "secret-env"} {
		s := recorded(t, name)
		own := strings.NewReplacer(`"absent"`, fmt.Sprintf("%q", s.Job.Name))
		for i := range s.Events {
			s.Events[i].Message = own.Replace(s.Events[i].Message)
		}
		for _, pod := range s.Pods {
			for _, c := range pod.Status.ContainerStatuses {
				if c.State.Waiting != nil {
					c.State.Waiting.Message = own.Replace(c.State.Waiting.Message)
				}
			}
		}
		if w := watch(t, s, time.Hour); w.end.Class != runners.Infrastructure || w.at < 3*time.Minute {
			t.Errorf("%s: got %s %q after %s, want it to last three minutes and to be tried again", name, w.end.Class, w.end.Reason, w.at)
		}
	}
}
