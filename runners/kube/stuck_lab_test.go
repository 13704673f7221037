//go:build lab

package kube_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/kube"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// stuck is a job that does not start, or does not end well.
type stuck struct {
	name    string
	prepare func(t *testing.T, lab *labtest.Lab)
	change  func(job *runners.Job, namespace string)
	class   runners.Class
	words   string        // of the cluster, in the reason and, if it cannot start, in the log before
	within  time.Duration // since it was made
	ran     bool
}

func secret(s runners.Secret, name string) func(*runners.Job, string) {
	return func(job *runners.Job, namespace string) {
		s.Name, s.From = name, runners.Keeper{Kubernetes: namespace + "/" + name}
		job.Secrets = []runners.Secret{s}
	}
}

func image(name string) func(*runners.Job, string) {
	return func(job *runners.Job, _ string) { job.Image = name }
}

func script(text string) func(*runners.Job, string) {
	return func(job *runners.Job, _ string) { job.Command = []string{"/bin/sh", "-c", text} }
}

// TestCannotStartInLab has a real cluster say what is wrong.
func TestCannotStartInLab(t *testing.T) {
	t.Parallel()
	const grace, atOnce = 40 * time.Second, 10 * time.Second
	for _, c := range []stuck{
		{"image name", nil, image(labtest.Registry + "/Busybox:1"), runners.Refused, "InvalidImageName: ", atOnce, false},
		{"image missing", nil, image(labtest.Registry + "/nothing:1"), runners.Refused, "nothing:1: not found", grace, false},
		{"registry away", nil, image("127.0.0.1:1/busybox:1"), runners.Infrastructure, "dial tcp 127.0.0.1:1: connect: connection refused", grace, false},
		{"secret missing", nil, secret(runners.Secret{Key: "k", Env: "A"}, "absent"), runners.Refused, `secret "absent" not found`, grace, false},
		{"secret's files missing", nil, secret(runners.Secret{Path: "/s"}, "absent"), runners.Refused, `secret "absent" not found`, grace, false},
		{"key missing", present, secret(runners.Secret{Key: "k", Env: "A"}, "present"), runners.Refused, "couldn't find key k in Secret", grace, false},
		{"service account missing", nil, func(job *runners.Job, _ string) { job.Pod.ServiceAccount = "absent" }, runners.Refused, `serviceaccount "absent" not found`, grace, false},
		{"quota", quota, nil, runners.Infrastructure, "exceeded quota: none", grace, false},
		{"unschedulable", nil, func(job *runners.Job, _ string) { job.Pod.CPU = "1000" }, runners.Infrastructure, "Insufficient cpu", grace, false},
		{"pod security", restrict, func(job *runners.Job, _ string) { job.Pod.Root = true }, runners.Refused, `violates PodSecurity "restricted`, atOnce, false},
		{"command missing", nil, func(job *runners.Job, _ string) { job.Command, job.Pod.Shell = []string{"/nothing"}, false }, runners.Refused, "no such file or directory", atOnce, false},
		{"out of memory", nil, func(job *runners.Job, _ string) {
			job.Pod.Memory = "32Mi"
			job.Command = []string{"/bin/sh", "-c", "head -c 100000000 /dev/zero | tail; exit $?"}
		}, runners.Failure, "limit of 32Mi", grace, true},
		{"signal", nil, script("(sleep 600 & kill -9 $!; wait $!)"), runners.Failure, "exit code 137 (SIGKILL)", grace, true},
		{"clone fails", nil, func(job *runners.Job, _ string) {
			job.Source = runners.Source{URL: "http://127.0.0.1:1/x", Commit: strings.Repeat("0a", 20)}
		}, runners.Infrastructure, "127.0.0.1", time.Minute, false},
		{"timeout", nil, func(job *runners.Job, _ string) {
			job.Timeout, job.Grace, job.Command = 2*time.Second, time.Second, []string{"/bin/sh", "-c", "sleep 600"}
		}, runners.Timeout, "ran longer than its timeout of 2s", grace, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lab := labtest.Open(t)
			if c.prepare != nil {
				c.prepare(t, lab)
			}
			p, job := permissive(t, lab), shell(t, "true")
			if c.change != nil {
				c.change(&job, lab.Namespace)
			}
			begin := time.Now()
			uid := start(t, p, job)
			w := wait(t, p, job.ID, uid)
			res := w.result(t, c.class)
			if took := time.Since(begin); took > c.within {
				t.Errorf("it took %s, want %s at most", took, c.within)
			}
			if !strings.Contains(res.Reason, c.words) || res.StartedAt.IsZero() == c.ran || res.EndedAt.IsZero() {
				t.Errorf("got %+v, want %q in the reason", res, c.words)
			}
			if strings.HasPrefix(res.Reason, "cannot start: ") && !strings.Contains(w.log.Text(t, "millrace"), c.words) && c.within > atOnce {
				t.Errorf("the log does not say %q:\n%s", c.words, w.log.Bytes())
			}
			again := wait(t, permissive(t, lab), job.ID, uid).result(t, c.class)
			if again.Reason != res.Reason || !again.StartedAt.Equal(res.StartedAt) { // The pod may be gone by then.
				t.Errorf("got %+v from a second wait, want %+v", again, res)
			}
		})
	}
}

// permissive is a process that lets jobs name a service account.
func permissive(t *testing.T, lab *labtest.Lab) *kube.Runner {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cluster, err := kube.NewCluster(kube.ClusterConfig{Kubeconfig: lab.Kubeconfig, QPS: -1, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	r, err := kube.New(kube.Config{
		Cluster: cluster, Namespace: lab.Namespace, GitImage: labtest.Git, Read: readKept, Log: log,
		Policy: kube.Policy{ServiceAccounts: []string{"absent"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- cluster.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run cluster: %v", err)
		}
	})
	return r
}

const presentValue = "known-to-few"

func present(t *testing.T, lab *labtest.Lab) {
	secretOf(t, lab, "present", map[string][]byte{"other": []byte(presentValue)})
}

func quota(t *testing.T, lab *labtest.Lab) {
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}}
	q.Spec.Hard = corev1.ResourceList{corev1.ResourcePods: {}}
	if _, err := lab.Client.CoreV1().ResourceQuotas(lab.Namespace).Create(t.Context(), q, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func restrict(t *testing.T, lab *labtest.Lab) {
	patch := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
	if _, err := lab.Client.CoreV1().Namespaces().Patch(t.Context(), lab.Namespace, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestMended has somebody make, within the grace, what a job lacks.
func TestMended(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p, job := permissive(t, lab), shell(t, `test "$A" = `+presentValue)
	secret(runners.Secret{Key: "other", Env: "A"}, "present")(&job, lab.Namespace)
	w := wait(t, p, job.ID, start(t, p, job))
	w.until(t, `millrace waiting for task: container task: CreateContainerConfigError: secret "present" not found`)
	present(t, lab)
	w.result(t, runners.Succeeded)
}

// TestEvicted has a node take the pod of a job that runs away, and the cluster's API one that it cannot keep.
func TestEvicted(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p, job := permissive(t, lab), shell(t, "echo ready; exec sleep 600")
	job.Grace = time.Second
	w := wait(t, p, job.ID, start(t, p, job))
	w.until(t, " task ready\n")
	evict(t, lab, job.ID)
	res := w.result(t, runners.Infrastructure)
	if !strings.Contains(res.Reason, "EvictionByEvictionAPI") || res.StartedAt.IsZero() {
		t.Errorf("got %+v, want it to say that it was evicted, and that it had started", res)
	}
}

// TestEvidence keeps what the cluster knows of a job.
func TestEvidence(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p, job := permissive(t, lab), shell(t, "exit 3")
	job.Event = []byte(`{"secret":"of nobody"}`)
	present(t, lab)
	secret(runners.Secret{Key: "other", Env: "A"}, "present")(&job, lab.Namespace)
	uid := start(t, p, job)
	wait(t, p, job.ID, uid).result(t, runners.Failure)
	data, err := p.Evidence(t.Context(), job.ID, uid)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# kubectl --namespace " + lab.Namespace + " create --filename manifest.yaml\n", "\nkind: Job\n", "\nkind: Pod\n", "exitCode: 3", "\nkind: EventList\n", "reason: SuccessfulCreate"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("evidence has no %q:\n%s", want, data)
		}
	}
	for _, unwanted := range []string{"managedFields", presentValue} {
		if strings.Contains(string(data), unwanted) {
			t.Errorf("evidence has %q:\n%s", unwanted, data)
		}
	}
	if data, err := p.Evidence(t.Context(), job.ID, "another"); err != nil || len(data) > 0 {
		t.Errorf("evidence of another job: got %q and error %v, want none", data, err)
	}
}
