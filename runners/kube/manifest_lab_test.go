//go:build lab

package kube_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners/kube"
)

// TestAdmission has the API server say of each golden Job whether it takes it, and of its pod whether Pod Security does:
// restricted, but for what has to be root.
func TestAdmission(t *testing.T) {
	lab := labtest.Open(t)
	for name, make := range goldens() {
		cfg, job := make()
		cfg.Namespace = lab.Namespace
		for i := range job.Secrets {
			job.Secrets[i].From.Kubernetes = strings.Replace(job.Secrets[i].From.Kubernetes, "ci/", lab.Namespace+"/", 1)
		}
		if key := job.Source.Key; key != nil {
			key.From.Kubernetes = strings.Replace(key.From.Kubernetes, "ci/", lab.Namespace+"/", 1)
		}
		made, err := cfg.Manifest(job)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = lab.Client.BatchV1().Jobs(lab.Namespace).Create(t.Context(), made, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			t.Errorf("%s: the API server refuses the Job: %v", name, err)
		}
		want := map[string]bool{kube.Restricted: !job.Pod.Root, kube.Baseline: true}
		for level, admitted := range want {
			if refusal := lab.CheckPod(t, level, made.Spec.Template.Spec); (refusal == "") != admitted {
				t.Errorf("%s: admitted to %s: got %v, want %v: %s", name, level, refusal == "", admitted, refusal)
			}
		}
		privileged := made.Spec.Template.Spec.DeepCopy()
		privileged.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
		if lab.CheckPod(t, kube.Baseline, *privileged) == "" {
			t.Errorf("%s: a privileged container is admitted: this test cannot fail", name)
		}
	}
}
