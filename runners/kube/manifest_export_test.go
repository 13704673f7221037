package kube

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/millrace-ci/millrace/runners"
)

// What tests of the pure parts call.
const (
	MaxEvent  = maxEvent
	MaxString = maxString
)

func (c Config) Manifest(job runners.Job) (*batchv1.Job, error) { return c.manifest(job) }
func (c Config) Render(job runners.Job) ([]byte, error)         { return c.render(job) }
func (c Config) Place(image string) string                      { return c.place(image) }

func (c Config) AttemptSecret(job runners.Job) (*corev1.Secret, error) {
	return c.attemptSecret(job, readKeeper)
}

// The scripts, for tests outside of a container.
var (
	TaskScript  = taskScript
	CloneScript = cloneScript
)
