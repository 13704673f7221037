package kube

import (
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// referenced are the Secrets that containers are given, by name, each with the entries that they are given: none stands
// for all of them.
type referenced map[string][]string

// referencedSecrets finds them in a Job. It is pure.
func referencedSecrets(job *batchv1.Job) referenced {
	found := referenced{}
	pod := job.Spec.Template.Spec
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		for _, e := range c.Env {
			if from := e.ValueFrom; from != nil && from.SecretKeyRef != nil {
				found.add(from.SecretKeyRef.Name, from.SecretKeyRef.Key)
			}
		}
	}
	for _, volume := range pod.Volumes {
		if s := volume.Secret; s != nil {
			found.add(s.SecretName, keysOf(s.Items)...)
		}
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if s := source.Secret; s != nil {
				found.add(s.Name, keysOf(s.Items)...)
			}
		}
	}
	return found
}

// add notes entries of a Secret; without any it notes all.
func (r referenced) add(name string, keys ...string) {
	known, there := r[name]
	switch {
	case len(keys) == 0, there && len(known) == 0:
		r[name] = nil
	default:
		r[name] = append(known, keys...)
	}
}

// values are those of a Secret's data that containers are given.
func (r referenced) values(secret *corev1.Secret, name string) []string {
	var all []string
	for key, value := range secret.Data {
		if keys := r[name]; len(keys) == 0 || slices.Contains(keys, key) {
			all = append(all, string(value))
		}
	}
	return all
}

func keysOf(items []corev1.KeyToPath) []string {
	var keys []string
	for _, item := range items {
		keys = append(keys, item.Key)
	}
	return keys
}
