package kube

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/millrace-ci/millrace/runners"
)

const (
	cloneDir       = "/clone"             // in memory, of the container alone
	cloneSecretDir = cloneDir + "/secret" // what the credential or the key is mounted as
)

// cloneScript brings the source, see there. It is the same for all.
//
//go:embed clone.sh
var cloneScript string

// cloneEnv is the environment of the container clone.
func cloneEnv(s runners.Source) []corev1.EnvVar {
	return []corev1.EnvVar{
		{Name: "CLONE_URL", Value: literal(s.URL)},
		{Name: "CLONE_COMMIT", Value: s.Commit},
		{Name: "CLONE_REF", Value: literal(s.Ref)},
		{Name: "CLONE_USERNAME", Value: literal(s.Username)},
		{Name: "CLONE_DIR", Value: cloneDir},
		{Name: "CLONE_MESSAGE", Value: corev1.TerminationMessagePathDefault},
		{Name: "HOME", Value: cloneDir},
	}
}

// cloneSecrets is what the container clone, and no other, is given to authenticate with.
func (c Config) cloneSecrets(job runners.Job) ([]corev1.VolumeProjection, error) {
	var sources []corev1.VolumeProjection
	if hasPassword(job.Source) {
		sources = append(sources, item(job.ID, passwordKey, "password"))
	}
	key := job.Source.Key
	switch {
	case key == nil && strings.HasPrefix(job.Source.URL, "ssh://"):
		return nil, errors.New("the source is fetched by ssh and no key is given: name a secret with a key and known_hosts, or use the http address")
	case key == nil:
		return sources, nil
	case key.Key != "":
		return nil, fmt.Errorf("secret %s/%s is one entry, and ssh needs a key and known_hosts: name the secret without an entry", key.Name, key.Key)
	case key.From.Kubernetes == "":
		return append(sources, item(job.ID, keyKey, keyNames[0]), item(job.ID, hostsKey, hostsName)), nil
	}
	name, err := c.where(*key, job.ID)
	if err == nil {
		err = checkNames(*key)
	}
	return append(sources, whole(name, key.As)...), err
}
