//go:build lab

package template_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
)

// Images of a workload: two that run and one that nobody has.
const (
	oldImage = labtest.Busybox
	newImage = labtest.Git
	noImage  = labtest.Registry + "/nobody:v9"
)

// TestDockerDeploy rolls each kind of workload, as a service account that has the Role of the readme and no other.
func TestDockerDeploy(t *testing.T) {
	t.Parallel()
	l := deployable(t)
	for _, kind := range []string{"deployment", "statefulset", "daemonset", "cronjob"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			workload(t, l, kind, kind)
			got := deploy(t, l, "run1", kind, given("IMAGE", newImage))
			got.has(t, 0, kind+"/"+kind+": app="+oldImage+" -> app="+newImage)
			outputs, err := runners.ParseOutputs([]byte(got.message))
			if err != nil {
				t.Fatal(err)
			}
			if kind != "cronjob" && outputs["revision"] == "" {
				t.Errorf("no revision: %v", outputs)
			}
			delete(outputs, "revision")
			want := map[string]string{"images": "app=" + newImage, "previous_images": "app=" + oldImage}
			if diff := cmp.Diff(want, outputs); diff != "" {
				t.Errorf("outputs (-want +got):\n%s", diff)
			}
			if image, notes := state(t, l, kind, kind); image != newImage || notes["millrace.dev/run"] != "run1" || notes["millrace.dev/task"] != "rollout" {
				t.Errorf("image %s, annotations %v", image, notes)
			}
		})
	}
}

// TestDockerDeployRollback holds that a rollout which fails says why and is undone, and that a second attempt, which
// finds the workload as the first one left it, still knows what was there before.
func TestDockerDeployRollback(t *testing.T) {
	t.Parallel()
	l := deployable(t)
	workload(t, l, "deployment", "api")
	got := deploy(t, l, "run1", "deployment", given("WORKLOAD_NAME", "api"), given("IMAGE", noImage), given("TIMEOUT", "5s"))
	got.has(t, 1, noImage, "ROLLBACK is not true", "ImagePull", "--- pod api-", "not found")
	if image, _ := state(t, l, "deployment", "api"); image != noImage {
		t.Errorf("without ROLLBACK: image %s", image)
	}
	got = deploy(t, l, "run1", "deployment", given("WORKLOAD_NAME", "api"), given("IMAGE", noImage), given("TIMEOUT", "5s"), given("ROLLBACK", "true"))
	got.has(t, 1, "is back at app="+oldImage)
	if image, _ := state(t, l, "deployment", "api"); image != oldImage {
		t.Errorf("with ROLLBACK: image %s", image)
	}
	got = deploy(t, l, "run2", "deployment", given("WORKLOAD_NAME", "api"), given("IMAGE", newImage))
	got.has(t, 0, "app="+oldImage+" -> app="+newImage)
}

// TestDockerDeployCrash holds that the last lines of a container that ends are shown.
func TestDockerDeployCrash(t *testing.T) {
	t.Parallel()
	l := deployable(t)
	workload(t, l, "deployment", "api")
	crash := labtest.Kubectl // It has no `sleep` in the place where the workload looks for it.
	got := deploy(t, l, "run1", "deployment", given("WORKLOAD_NAME", "api"), given("IMAGE", crash), given("TIMEOUT", "8s"), given("ROLLBACK", "true"))
	got.has(t, 1, "last words", "exit code 7", "is back at app="+oldImage)
}

// TestDockerDeployImages covers where the image comes from, and what is refused before anything is changed.
func TestDockerDeployImages(t *testing.T) {
	t.Parallel()
	l := deployable(t)
	workload(t, l, "cronjob", "api")
	repository := strings.TrimSuffix(oldImage, ":1.35")
	for _, tc := range []struct {
		name  string
		given []param.Given
		want  string
	}{
		{"its own repository", nil, repository + ":v1"},
		{"another repository", []param.Given{given("IMAGE_REPOSITORY", "registry.example.com/api")}, "registry.example.com/api:v1"},
		{"a list", []param.Given{listed("IMAGES", "app="+newImage, "first="+noImage)}, newImage},
	} {
		deploy(t, l, tc.name, "cronjob", append(tc.given, given("WORKLOAD_NAME", "api"))...).has(t, 0)
		if image, _ := state(t, l, "cronjob", "api"); image != tc.want {
			t.Errorf("%s: image %s, want %s", tc.name, image, tc.want)
		}
	}
	image := given("IMAGE", newImage)
	for want, refused := range map[string][]param.Given{
		"has no container web; it has first app":      {listed("IMAGES", "app="+newImage, "web="+newImage)},
		"leave out CONTAINER and IMAGE":               {listed("IMAGES", "app="+newImage), image},
		"cronjob/web cannot be read":                  {given("WORKLOAD_NAME", "web"), image},
		"KUBE_CONTEXT names a context of kube_config": {given("KUBE_CONTEXT", "prod"), image},
		`cannot get resource "cronjobs" in API group`: {given("NAMESPACE", "kube-system"), image},
		"has no container api; it has first app":      {given("CONTAINER", "api"), image},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			deploy(t, l, "run3", "cronjob", append([]param.Given{given("WORKLOAD_NAME", "api")}, refused...)...).has(t, 1, want)
		})
	}
}

// deployable is the lab with a service account that may do what the readme says.
func deployable(t *testing.T) *labtest.Lab {
	t.Helper()
	l := labtest.Open(t)
	var role rbacv1.Role
	if err := yaml.UnmarshalStrict([]byte(template.DeployRole), &role); err != nil {
		t.Fatal(err)
	}
	name := metav1.ObjectMeta{Name: role.Name}
	_, err := l.Client.RbacV1().Roles(l.Namespace).Create(t.Context(), &role, metav1.CreateOptions{})
	if err == nil {
		_, err = l.Client.CoreV1().ServiceAccounts(l.Namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: name}, metav1.CreateOptions{})
	}
	if err == nil {
		_, err = l.Client.RbacV1().RoleBindings(l.Namespace).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: role.Name, Namespace: l.Namespace}},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// deploy runs the template in a pod as a runner would make it: not root, outputs by the termination message.
func deploy(t *testing.T, l *labtest.Lab, run, kind string, given ...param.Given) ended {
	t.Helper()
	all := append([]param.Given{{Name: "WORKLOAD_KIND", Value: param.TextValue(kind)}}, given...)
	if !strings.Contains(fmt.Sprint(names(given)), "WORKLOAD_NAME") {
		all = append(all, param.Given{Name: "WORKLOAD_NAME", Value: param.TextValue(kind)})
	}
	r := rendered(t, "docker_deploy@v1", last(all)...)
	r.Env["RUN_ID"], r.Env["TASK_ID"], r.Env["APP_VERSION"] = run, run+"/rollout", "v1"
	r.Env["MILLRACE_OUTPUT"], r.Env["HOME"] = "/dev/termination-log", "/tmp"
	user, yes, no := int64(10001), true, false
	return start(t, l, r, func(s *corev1.PodSpec) {
		s.ServiceAccountName = "millrace-deploy"
		s.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user, RunAsGroup: &user, FSGroup: &user, RunAsNonRoot: &yes}
		s.Containers[0].SecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: &no}
	})
}

func names(given []param.Given) (all []string) {
	for _, g := range given {
		all = append(all, g.Name)
	}
	return all
}

// last keeps the last of what is given twice.
func last(given []param.Given) []param.Given {
	var all []param.Given
	for i, g := range given {
		if !strings.Contains(" "+strings.Join(names(given[i+1:]), " ")+" ", " "+g.Name+" ") {
			all = append(all, g)
		}
	}
	return all
}

// workload makes one whose container runs for ever with the images that have a `sleep`.
func workload(t *testing.T, l *labtest.Lab, kind, name string) {
	t.Helper()
	labels, grace := map[string]string{"app": name}, int64(0)
	container := corev1.Container{Name: "app", Image: oldImage, Command: []string{"sh", "-c", "[ ! -e /usr/local/bin/kubectl ] || { echo last words; exit 7; }; exec sleep 3600"}}
	pod := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{TerminationGracePeriodSeconds: &grace, Containers: []corev1.Container{container}},
	}
	meta, selector := metav1.ObjectMeta{Name: name}, &metav1.LabelSelector{MatchLabels: labels}
	var err error
	switch kind {
	case "deployment":
		_, err = l.Client.AppsV1().Deployments(l.Namespace).Create(t.Context(), &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: pod, MinReadySeconds: 3}}, metav1.CreateOptions{})
	case "statefulset":
		_, err = l.Client.AppsV1().StatefulSets(l.Namespace).Create(t.Context(), &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: pod}}, metav1.CreateOptions{})
	case "daemonset":
		_, err = l.Client.AppsV1().DaemonSets(l.Namespace).Create(t.Context(), &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: pod}}, metav1.CreateOptions{})
	case "cronjob":
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
		first := container
		first.Name = "first"
		pod.Spec.InitContainers = []corev1.Container{first}
		if name == kind {
			pod.Spec.InitContainers = nil
		}
		_, err = l.Client.BatchV1().CronJobs(l.Namespace).Create(t.Context(), &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{
			Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: pod}},
		}}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// state reads the image of the container app, and the workload's annotations.
func state(t *testing.T, l *labtest.Lab, kind, name string) (image string, notes map[string]string) {
	t.Helper()
	var object runtime.Object
	var err error
	ctx := context.WithoutCancel(t.Context())
	switch kind {
	case "deployment":
		object, err = l.Client.AppsV1().Deployments(l.Namespace).Get(ctx, name, metav1.GetOptions{})
	case "statefulset":
		object, err = l.Client.AppsV1().StatefulSets(l.Namespace).Get(ctx, name, metav1.GetOptions{})
	case "daemonset":
		object, err = l.Client.AppsV1().DaemonSets(l.Namespace).Get(ctx, name, metav1.GetOptions{})
	case "cronjob":
		object, err = l.Client.BatchV1().CronJobs(l.Namespace).Get(ctx, name, metav1.GetOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	type podTemplate struct{ Spec corev1.PodSpec }
	var read struct {
		Metadata metav1.ObjectMeta
		Spec     struct {
			Template    podTemplate
			JobTemplate struct {
				Spec struct{ Template podTemplate }
			}
		}
	}
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	containers := append(read.Spec.Template.Spec.Containers, read.Spec.JobTemplate.Spec.Template.Spec.Containers...)
	return containers[0].Image, read.Metadata.Annotations
}
