//go:build lab

package kube_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/runnertest"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	batchclient "k8s.io/client-go/kubernetes/typed/batch/v1"
)

// TestLaws holds the runner against the laws that every runner keeps.
func TestLaws(t *testing.T) {
	lab := labtest.Open(t)
	runnertest.Run(t, func(t *testing.T) runnertest.Kit {
		dir := sharedDir(t)
		share := func(c kubernetes.Interface) kubernetes.Interface { return shared{c, dir} }
		return runnertest.Kit{
			Dir: dir,
			New: func(t *testing.T) runners.Runner { return newProcess(t, lab, nil, share) },
			Job: shell,
			Secret: func(t *testing.T, value string) runners.Secret {
				file := filepath.Join(t.TempDir(), "deploy.env")
				if err := os.WriteFile(file, []byte("TOKEN='"+value+"'\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				return runners.Secret{Name: "deploy", From: runners.Keeper{File: file}, Key: "TOKEN"}
			},
		}
	})
}

// sharedDir is a folder that pods of any user may write to.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-kube-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	inner := filepath.Join(dir, "shared")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o755, inner: 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	return inner
}

// shared is a client whose Jobs see a folder of the node, which those of the runner cannot ask for.
type shared struct {
	kubernetes.Interface
	dir string
}

// BatchV1 implements kubernetes.Interface.
func (s shared) BatchV1() batchclient.BatchV1Interface {
	return sharedBatch{s.Interface.BatchV1(), s.dir}
}

type sharedBatch struct {
	batchclient.BatchV1Interface
	dir string
}

// Jobs implements batchclient.BatchV1Interface.
func (s sharedBatch) Jobs(namespace string) batchclient.JobInterface {
	return sharedJobs{s.BatchV1Interface.Jobs(namespace), s.dir}
}

type sharedJobs struct {
	batchclient.JobInterface
	dir string
}

// Create implements batchclient.JobInterface.
func (s sharedJobs) Create(ctx context.Context, job *batchv1.Job, o metav1.CreateOptions) (*batchv1.Job, error) {
	job = job.DeepCopy()
	pod := &job.Spec.Template.Spec
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "shared", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: s.dir}}})
	for i := range pod.Containers {
		pod.Containers[i].VolumeMounts = append(pod.Containers[i].VolumeMounts, corev1.VolumeMount{Name: "shared", MountPath: s.dir})
	}
	return s.JobInterface.Create(ctx, job, o)
}
