package kube

import (
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ourDomain is what the names of our labels and annotations are under.
const ourDomain = "millrace.dev/"

// strip leaves of a Job or pod what judging it, ending it and following its log need: there may be ten thousand of them
// in memory.
func strip(object any) (any, error) {
	switch o := object.(type) {
	case *batchv1.Job:
		stripMeta(&o.ObjectMeta)
		s := o.Spec
		o.Spec = batchv1.JobSpec{Suspend: s.Suspend, ActiveDeadlineSeconds: s.ActiveDeadlineSeconds}
		o.Spec.Template.Spec = stripSpec(s.Template.Spec)
		o.Spec.Template.Spec.Containers = slices.DeleteFunc(o.Spec.Template.Spec.Containers, func(c corev1.Container) bool { return c.Env == nil })
	case *corev1.Pod:
		stripMeta(&o.ObjectMeta)
		o.Labels = nil
		o.Spec = stripSpec(o.Spec)
		s := o.Status
		if live(o) {
			s.Conditions = stripConditions(s.Conditions)
		}
		o.Status = corev1.PodStatus{
			Phase: s.Phase, Conditions: s.Conditions, Reason: s.Reason, Message: s.Message, StartTime: s.StartTime,
			InitContainerStatuses: stripStatuses(s.InitContainerStatuses), ContainerStatuses: stripStatuses(s.ContainerStatuses),
		}
	}
	return object, nil
}

// stripMeta drops who wrote which field, and annotations that are not ours or carry a job's files.
func stripMeta(m *metav1.ObjectMeta) {
	m.ManagedFields, m.Finalizers = nil, nil
	var kept map[string]string
	for name, value := range m.Annotations {
		if strings.HasPrefix(name, ourDomain) {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[name] = value
		}
	}
	m.Annotations = kept
}

func stripSpec(s corev1.PodSpec) corev1.PodSpec {
	kept := corev1.PodSpec{NodeName: s.NodeName, TerminationGracePeriodSeconds: s.TerminationGracePeriodSeconds}
	kept.InitContainers, kept.Containers = stripContainers(s.InitContainers), stripContainers(s.Containers)
	for _, v := range s.Volumes {
		if v.Secret != nil || v.Projected != nil {
			kept.Volumes = append(kept.Volumes, v)
		}
	}
	return kept
}

// stripContainers leaves of their environment what is read from Secrets: whose values are to be masked.
func stripContainers(all []corev1.Container) []corev1.Container {
	kept := make([]corev1.Container, 0, len(all))
	for _, c := range all {
		var env []corev1.EnvVar
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				env = append(env, e)
			}
		}
		kept = append(kept, corev1.Container{Name: c.Name, Image: c.Image, Resources: c.Resources, Env: env})
	}
	return kept
}

func stripStatuses(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	kept := make([]corev1.ContainerStatus, 0, len(all))
	for _, s := range all {
		kept = append(kept, corev1.ContainerStatus{Name: s.Name, Image: s.Image, State: s.State, LastTerminationState: s.LastTerminationState, RestartCount: s.RestartCount})
	}
	return kept
}

// stripConditions leaves of those of a pod that lives what tells why it does not start, and that it is to end.
func stripConditions(all []corev1.PodCondition) []corev1.PodCondition {
	var kept []corev1.PodCondition
	for _, c := range all {
		if c.Type == corev1.PodScheduled || c.Type == corev1.DisruptionTarget {
			kept = append(kept, c)
		}
	}
	return kept
}
