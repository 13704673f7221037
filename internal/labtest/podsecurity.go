package labtest

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CheckPod returns what the API server's own Pod Security admission refuses of a pod at a level, "restricted" or
// "baseline", in its words; "" when it admits the pod. Nothing is created. Objects that the pod names need not be there,
// its service account neither.
func (l *Lab) CheckPod(t testing.TB, level string, spec corev1.PodSpec) string {
	t.Helper()
	namespace := "lab-" + level // From test/lab/cluster.yaml.
	l.awaitDefaults(t, namespace)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	spec.ServiceAccountName, spec.DeprecatedServiceAccount = "", ""
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "check-"}, Spec: spec}
	_, err := l.Client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if apierrors.IsForbidden(err) {
		return err.Error()
	}
	if err != nil {
		t.Fatalf("labtest: check a pod against %s: %v", level, err)
	}
	return ""
}
