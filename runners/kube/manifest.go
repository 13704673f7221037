package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/millrace-ci/millrace/runners"
)

const (
	maxObject       = 1 << 20   // bytes of a Job: etcd takes 1.5 MiB, and the cluster adds to it
	keptFor   int32 = 24 * 3600 // seconds that an ended Job stays when nobody sweeps
)

// Render is runners.Renderer's. Values of secrets are not in it.
func (r *Runner) Render(job runners.Job) ([]byte, error) { return r.cfg.Render(job) }

// Render is what a Runner of this configuration renders. It needs no Cluster.
func (c Config) Render(job runners.Job) ([]byte, error) {
	made, err := c.manifest(job)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(made)
	if err != nil {
		return nil, fmt.Errorf("render job %s: %w", job.ID, err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("render job %s: %w", job.ID, err)
	}
	delete(fields, "status") // The cluster's to say.
	text, err := yaml.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("render job %s: %w", job.ID, err)
	}
	var out bytes.Buffer
	if keys := attemptKeys(job); len(keys) > 0 {
		fmt.Fprintf(&out, "# Beside it a Secret %s is made. Its values are not shown: %s\n", job.ID, strings.Join(keys, ", "))
	}
	out.Write(text)
	return out.Bytes(), nil
}

// manifest is the Job that job becomes: the same for the same job. It is pure. Errors: ErrRefused, with a text for the
// author of the task that says what the operator allows.
func (c Config) manifest(job runners.Job) (*batchv1.Job, error) {
	if err := job.Check(); err != nil {
		return nil, err
	}
	d := draft{cfg: c, job: job}
	for _, step := range []func() error{d.fits, d.policy, d.source, d.files, d.secrets, d.task} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("%w: %w", runners.ErrRefused, err)
		}
	}
	made, err := d.whole()
	if err != nil {
		return nil, err
	}
	if size := made.Size(); size > maxObject {
		return nil, fmt.Errorf("%w: the Job takes %d bytes, at most %d are possible: keep large values in a file of the repository",
			runners.ErrRefused, size, maxObject)
	}
	return made, nil
}

// whole is the Job around the finished pod.
func (d *draft) whole() (*batchv1.Job, error) {
	notes := map[string]string{}
	var deadline *int64
	if d.job.Timeout > 0 {
		notes[noteTimeout] = d.job.Timeout.String()
		deadline = new(seconds(d.job.Timeout + deadlineNet))
	}
	if len(d.job.Outputs) > 0 {
		outputs, err := json.Marshal(d.job.Outputs)
		if err != nil {
			return nil, fmt.Errorf("write down outputs: %w", err)
		}
		notes[noteOutputs] = string(outputs)
	}
	made := &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{Name: d.job.ID, Namespace: d.cfg.Namespace, Labels: d.cfg.labels(d.job), Annotations: notes},
		Spec: batchv1.JobSpec{
			Parallelism:             new(int32(1)),
			Completions:             new(int32(1)),
			BackoffLimit:            new(int32(0)), // Retries are ours.
			PodReplacementPolicy:    new(batchv1.Failed),
			ActiveDeadlineSeconds:   deadline,
			TTLSecondsAfterFinished: new(keptFor),
		},
	}
	made.Spec.Template.ObjectMeta = metav1.ObjectMeta{Labels: d.cfg.labels(d.job), Annotations: d.notes}
	made.Spec.Template.Spec = d.pod
	return made, nil
}

// labels are those of all that is made for a job.
func (c Config) labels(job runners.Job) map[string]string {
	return c.signed(map[string]string{
		labelManagedBy: managedBy,
		labelRun:       job.Run,
		labelTask:      job.Task,
		labelAttempt:   strconv.Itoa(job.Attempt),
	})
}

// signed adds to labels which Millrace makes what bears them.
func (c Config) signed(labels map[string]string) map[string]string {
	if c.Instance != "" {
		labels[labelInstance] = c.Instance
	}
	return labels
}

// seconds rounds up, so that nothing ends early.
func seconds(d time.Duration) int64 { return int64((max(d, 0) + time.Second - 1) / time.Second) }
