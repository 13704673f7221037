//go:build lab

package kube_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
	admission "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// makeForeign makes a suspended Job that is not ours.
func makeForeign(t *testing.T, lab *labtest.Lab, name string) *batchv1.Job {
	t.Helper()
	suspended := true
	job, err := lab.Client.BatchV1().Jobs(lab.Namespace).Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: batchv1.JobSpec{Suspend: &suspended, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: labtest.Busybox}},
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// TestStartForeign finds the name taken, by a stranger and by another attempt.
func TestStartForeign(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p, job, other := newProcess(t, lab, nil, nil), shell(t, "true"), shell(t, "true")
	stranger := makeForeign(t, lab, job.ID)
	uid := start(t, p, other)
	for taken, owner := range map[string]string{job.ID: string(stranger.UID), other.ID: uid} {
		job := shell(t, "true")
		job.ID = taken
		_, err := p.Start(t.Context(), job)
		if err == nil || errors.Is(err, runners.ErrRefused) || !strings.Contains(err.Error(), owner) || !strings.Contains(err.Error(), job.Run) {
			t.Errorf("start: got error %v, want one that names uid %s and run %s", err, owner, job.Run)
		}
	}
}

// TestStartTwenty starts one job twenty times at once from one process.
func TestStartTwenty(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	p, job := newProcess(t, lab, nil, nil), shell(t, "true")
	uids := make(chan string, 20)
	for range cap(uids) {
		go func() {
			uid, err := p.Start(t.Context(), job)
			if err != nil {
				t.Errorf("start: %v", err)
			}
			uids <- uid
		}()
	}
	uid := <-uids
	for range cap(uids) - 1 {
		if other := <-uids; other != uid {
			t.Errorf("uid: got %q and %q, want one", uid, other)
		}
	}
	wait(t, p, job.ID, uid).result(t, runners.Succeeded)
	wantOnce(t, lab, job.ID, uid)
}

// TestStartGives has a Start die between the Job and its Secret: the next one makes it, and the value is hidden.
func TestStartGives(t *testing.T) {
	lab := labtest.Open(t)
	t.Setenv("MILLRACE_TEST_TOKEN", "the-value")
	p, job := newProcess(t, lab, nil, nil), shell(t, `echo "it is $TOKEN"`)
	job.Secrets = []runners.Secret{{Name: "token", From: runners.Keeper{Env: []string{"MILLRACE_TEST_TOKEN"}}, Key: "MILLRACE_TEST_TOKEN", Env: "TOKEN"}}
	uid := start(t, p, job)
	secret, err := lab.Client.CoreV1().Secrets(lab.Namespace).Get(t.Context(), job.ID, metav1.GetOptions{})
	if err != nil || len(secret.OwnerReferences) != 1 || string(secret.OwnerReferences[0].UID) != uid {
		t.Fatalf("secret: got owners %v and error %v, want the Job", secret.OwnerReferences, err)
	}
	again := shell(t, `echo "it is $TOKEN"`)
	again.Secrets = job.Secrets
	uid = start(t, p, again)
	if err := lab.Client.CoreV1().Secrets(lab.Namespace).Delete(t.Context(), again.ID, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if joined := start(t, p, again); joined != uid {
			t.Errorf("uid: got %q, want %q", joined, uid)
		}
	}
	w := wait(t, p, again.ID, uid)
	w.result(t, runners.Succeeded)
	if diff := cmp.Diff([]string{"the-value"}, w.log.masked); diff != "" {
		t.Errorf("values to hide (-want +got):\n%s", diff)
	}
}

// TestStartRefused has the cluster itself refuse the Job: what only a change of the task mends is refused, what time or
// the operator mends is an error.
func TestStartRefused(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	for name, c := range map[string]struct {
		prepare func(t *testing.T, lab *labtest.Lab)
		reach   func(*rest.Config)
		refused bool
		text    string
	}{
		"no namespace":       {prepare: func(_ *testing.T, lab *labtest.Lab) { lab.Namespace = "not-there" }, refused: true, text: "there is no namespace not-there"},
		"admission":          {prepare: forbid, refused: true, text: "jobs of tests are not wanted here"},
		"quota of jobs":      {prepare: noRoom, text: "exceeded quota: full"},
		"no permission":      {reach: func(c *rest.Config) { c.Impersonate.UserName = "nobody" }, text: `User "nobody" cannot create resource "jobs"`},
		"wrong credentials":  {reach: func(c *rest.Config) { c.BearerToken, c.BearerTokenFile = "wrong", "" }, text: "Unauthorized"},
		"nobody is at home":  {reach: func(c *rest.Config) { c.Host = "https://127.0.0.1:1" }, text: "connection refused"},
		"namespace vanishes": {prepare: vanish, refused: true, text: "is being deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := *lab
			lab.Namespace = lab.NewNamespace(t, nil)
			if c.prepare != nil {
				c.prepare(t, &lab)
			}
			p := newProcess(t, &lab, c.reach, nil)
			_, err := p.Start(t.Context(), shell(t, "true"))
			if err == nil || errors.Is(err, runners.ErrRefused) != c.refused || !strings.Contains(err.Error(), c.text) {
				t.Errorf("start: got error %v, want one with %q, refused: %v", err, c.text, c.refused)
			}
		})
	}
}

// forbid makes the namespace's Jobs unwanted.
func forbid(t *testing.T, lab *labtest.Lab) {
	client, name := lab.Client.AdmissionregistrationV1(), lab.Namespace
	rule := admission.Rule{APIGroups: []string{"batch"}, APIVersions: []string{"v1"}, Resources: []string{"jobs"}}
	_, err := client.ValidatingAdmissionPolicies().Create(t.Context(), &admission.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admission.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admission.MatchResources{ResourceRules: []admission.NamedRuleWithOperations{{
				RuleWithOperations: admission.RuleWithOperations{Operations: []admission.OperationType{admission.Create}, Rule: rule},
			}}},
			Validations: []admission.Validation{{Expression: "false", Message: "jobs of tests are not wanted here"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.ValidatingAdmissionPolicyBindings().Create(t.Context(), &admission.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admission.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admission.ValidationAction{admission.Deny},
			MatchResources: &admission.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: name}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.ValidatingAdmissionPolicyBindings().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
		client.ValidatingAdmissionPolicies().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
	awaitRefusal(t, lab, "not wanted")
}

// awaitRefusal returns when the cluster refuses Jobs in these words.
func awaitRefusal(t *testing.T, lab *labtest.Lab, text string) {
	t.Helper()
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{GenerateName: "try-"}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: labtest.Busybox}},
	}}}}
	for end := time.After(time.Minute); ; {
		_, err := lab.Client.BatchV1().Jobs(lab.Namespace).Create(t.Context(), job, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil && strings.Contains(err.Error(), text) {
			return
		}
		select {
		case <-end:
			t.Fatalf("a job is refused with %v, want %q", err, text)
		case <-time.After(50 * time.Millisecond): // Nothing signals that the API server has heard of it.
		}
	}
}

func noRoom(t *testing.T, lab *labtest.Lab) {
	_, err := lab.Client.CoreV1().ResourceQuotas(lab.Namespace).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "full"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/jobs.batch": resource.MustParse("0")}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	awaitRefusal(t, lab, "exceeded quota")
}

// vanish makes the namespace one that is being deleted, as long as the test takes.
func vanish(t *testing.T, lab *labtest.Lab) {
	client := lab.Client.CoreV1().ConfigMaps(lab.Namespace)
	_, err := client.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "stays", Finalizers: []string{"lab.millrace.dev/test"}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := client.Patch(context.WithoutCancel(t.Context()), "stays", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		if err != nil {
			t.Error(err)
		}
	})
	if err := lab.Client.CoreV1().Namespaces().Delete(t.Context(), lab.Namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitRefusal(t, lab, "terminated")
}
