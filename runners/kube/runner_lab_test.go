//go:build lab

package kube_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/kube"
	"github.com/millrace-ci/millrace/runners/runnertest"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	batchclient "k8s.io/client-go/kubernetes/typed/batch/v1"
	"k8s.io/client-go/rest"
)

// TestLaws holds the runner against the laws, each process of which is a cluster of its own.
func TestLaws(t *testing.T) {
	lab := labtest.Open(t)
	runnertest.Run(t, func(t *testing.T) runnertest.Kit {
		dir := sharedDir(t)
		return runnertest.Kit{
			Dir: dir,
			New: func(t *testing.T) runners.Runner {
				return newRunner(t, lab, lab.Config, func(c kubernetes.Interface) kubernetes.Interface { return shared{c, dir} })
			},
			Job: shell,
		}
	})
}

// newRunner is a runner in a process of its own, as good as: it shares nothing with others but the namespace.
func newRunner(t *testing.T, lab *labtest.Lab, reach *rest.Config, wrap func(kubernetes.Interface) kubernetes.Interface) *kube.Runner {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cluster, err := kube.ClusterOf(reach, wrap, log)
	if err != nil {
		t.Fatal(err)
	}
	r, err := kube.New(kube.Config{Cluster: cluster, Namespace: lab.Namespace, GitImage: labtest.Git, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	run(t, cluster)
	return r
}

// run runs the cluster until the test ends, or until the function is called that it returns.
func run(t *testing.T, cluster *kube.Cluster) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- cluster.Run(ctx) }()
	var once atomic.Bool
	end = func() {
		cancel()
		if once.CompareAndSwap(false, true) {
			if err := <-done; err != nil {
				t.Errorf("run cluster: %v", err)
			}
		}
	}
	t.Cleanup(end)
	return end
}

var jobs atomic.Int64

// shell is a job that runs a script.
func shell(t *testing.T, script string) runners.Job {
	t.Helper()
	n := jobs.Add(1)
	return runners.Job{
		ID:      fmt.Sprintf("mr-%s-%d", strings.ToLower(strings.Map(word, t.Name()[max(0, len(t.Name())-30):])), n),
		Run:     fmt.Sprintf("run%d", n),
		Task:    "test",
		Attempt: 1,
		Image:   labtest.Busybox,
		Command: []string{"/bin/sh", "-c", script},
		Grace:   5 * time.Second,
		Pod:     runners.Pod{Shell: true},
	}
}

func word(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// sharedDir is a folder that pods of any user may write to.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-kube-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for path, mode := range map[string]os.FileMode{dir: 0o755, filepath.Join(dir, "shared"): 0o777} {
		_ = os.Mkdir(path, mode)
		if err := os.Chmod(path, mode); err != nil { // Whatever the umask is.
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "shared")
}

// shared is a client whose Jobs see a folder of the node, which those of the runner cannot ask for.
type shared struct {
	kubernetes.Interface
	dir string
}

func (s shared) BatchV1() batchclient.BatchV1Interface {
	return sharedBatch{s.Interface.BatchV1(), s.dir}
}

type sharedBatch struct {
	batchclient.BatchV1Interface
	dir string
}

func (s sharedBatch) Jobs(namespace string) batchclient.JobInterface {
	return sharedJobs{s.BatchV1Interface.Jobs(namespace), s.dir}
}

type sharedJobs struct {
	batchclient.JobInterface
	dir string
}

func (s sharedJobs) Create(ctx context.Context, job *batchv1.Job, o metav1.CreateOptions) (*batchv1.Job, error) {
	job = job.DeepCopy()
	pod := &job.Spec.Template.Spec
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "shared", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: s.dir}}})
	for i := range pod.Containers {
		pod.Containers[i].VolumeMounts = append(pod.Containers[i].VolumeMounts, corev1.VolumeMount{Name: "shared", MountPath: s.dir})
	}
	return s.JobInterface.Create(ctx, job, o)
}
