package kube

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/millrace-ci/millrace/runners"
)

// secretMode lets the pod's group read what is secret, and nobody else.
const secretMode int32 = 0o440

// where returns the Secret in the cluster that holds s: its own, or the attempt's.
func (c Config) where(s runners.Secret, id string) (string, error) {
	if s.From.Kubernetes == "" {
		return id, nil
	}
	namespace, name, ok := strings.Cut(s.From.Kubernetes, "/")
	switch {
	case !ok || len(validation.IsDNS1123Subdomain(name)) > 0:
		return "", fmt.Errorf("secret %s: %.300q is not NAMESPACE/NAME of a Secret", s.Name, s.From.Kubernetes)
	case namespace != c.Namespace:
		return "", fmt.Errorf("secret %s lies in namespace %s, and this runner's jobs in %s: a pod can only use what lies beside it", s.Name, namespace, c.Namespace)
	}
	return name, nil
}

// variable is the environment variable that a secret becomes. The value is put there by the kubelet.
func (c Config) variable(job runners.Job, i int) (corev1.EnvVar, error) {
	s := job.Secrets[i]
	name, err := c.where(s, job.ID)
	if err := errors.Join(err, checkKey(s.Name, s.Key)); err != nil {
		return corev1.EnvVar{}, err
	}
	ref := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: keyOf(s, i)}
	return corev1.EnvVar{Name: s.Env, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: ref}}, nil
}

// keyOf is the key of the entry that the job's i-th secret names, in the Secret that holds it.
func keyOf(s runners.Secret, i int) string {
	if s.From.Kubernetes == "" {
		return fmt.Sprintf("%d.%s", i, s.Key)
	}
	return s.Key
}

// folder is the volume whose files are the entries of the job's i-th secret.
func (c Config) folder(job runners.Job, i int) (corev1.VolumeSource, error) {
	s := job.Secrets[i]
	name, err := c.where(s, job.ID)
	if err == nil {
		err = checkNames(s)
	}
	switch {
	case err != nil:
		return corev1.VolumeSource{}, err
	case s.Key == "" && s.From.Kubernetes == "":
		return corev1.VolumeSource{}, fmt.Errorf("secret %s is kept outside the cluster, and of such a one only single entries can be files: write %[1]s/KEY", s.Name)
	case s.Key == "":
		return projected(whole(name, s.As)), nil
	}
	return projected([]corev1.VolumeProjection{item(name, keyOf(s, i), cmp.Or(s.As[s.Key], s.Key))}), nil
}

// checkNames tells why the names of a secret's entries cannot be keys of a Secret and names of files.
func checkNames(s runners.Secret) error {
	if s.Key != "" {
		return checkKey(s.Name, s.Key)
	}
	for _, from := range slices.Sorted(maps.Keys(s.As)) {
		if err := errors.Join(checkKey(s.Name, from), checkKey(s.Name, s.As[from])); err != nil {
			return err
		}
	}
	return nil
}

// whole is all entries of a Secret, and those that as renames under their new names too. An item that the Secret lacks
// would keep the pod from starting, hence optional; the Secret itself is not.
func whole(name string, as map[string]string) []corev1.VolumeProjection {
	var sources []corev1.VolumeProjection
	for _, from := range slices.Sorted(maps.Keys(as)) {
		source := item(name, from, as[from])
		source.Secret.Optional = new(true)
		sources = append(sources, source)
	}
	return append(sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name}}})
}

// item is one entry of a Secret as a file.
func item(name, key, file string) corev1.VolumeProjection {
	return corev1.VolumeProjection{Secret: &corev1.SecretProjection{
		LocalObjectReference: corev1.LocalObjectReference{Name: name},
		Items:                []corev1.KeyToPath{{Key: key, Path: file}},
	}}
}

func projected(sources []corev1.VolumeProjection) corev1.VolumeSource {
	return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources, DefaultMode: new(secretMode)}}
}

// checkKey tells why a Secret can have no entry, or a folder no file, of this name.
func checkKey(secret, key string) error {
	if problems := validation.IsConfigMapKey(key); len(problems) > 0 || path.Base(key) != key {
		return fmt.Errorf("secret %s: %.80q is not the name of an entry: letters, digits, `-`, `_` and `.`", secret, key)
	}
	return nil
}
