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

func (c Config) AttemptSecret(job runners.Job) (*corev1.Secret, error) {
	return c.attemptSecret(job)
}

// The scripts, for tests outside of a container.
var (
	TaskScript  = taskScript
	CloneScript = cloneScript
)
