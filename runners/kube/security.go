package kube

import corev1 "k8s.io/api/core/v1"

// userID is the user of all containers that need not be root, and the group that may read the pod's secrets.
const userID int64 = 10001

// podSecurity is what the Pod Security Standards call `restricted`, or for root `baseline`: then the task is the user of
// its image, with the capabilities that a runtime gives by default.
func podSecurity(root bool) *corev1.PodSecurityContext {
	s := &corev1.PodSecurityContext{
		FSGroup:             new(userID),
		FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch),
		SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if !root {
		s.RunAsNonRoot, s.RunAsUser, s.RunAsGroup = new(true), new(userID), new(userID)
	}
	return s
}

// taskSecurity is that of the command.
func taskSecurity(root bool) *corev1.SecurityContext {
	if root {
		return nil
	}
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

// cloneSecurity is that of our own container: closed also beside a task that is root.
func cloneSecurity() *corev1.SecurityContext {
	s := taskSecurity(false)
	s.RunAsNonRoot, s.RunAsUser, s.RunAsGroup = new(true), new(userID), new(userID)
	s.ReadOnlyRootFilesystem = new(true)
	return s
}
