//go:build lab

package template_test

import (
	"context"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/internal/labtest"
)

// patience bounds each wait for a pod.
const patience = 2 * time.Minute

// ended is what is left of a pod that ended.
type ended struct {
	code    int32
	log     string
	message string // its termination message
}

// platform is the lab's.
var platform = template.Platform{
	Kaniko: labtest.Kaniko, Kubectl: labtest.Kubectl, Git: labtest.Git,
	Mirrors:    map[string]string{"mirrored.example.com": labtest.Registry},
	Registries: []template.Registry{{Host: labtest.Registry, Insecure: true}},
}

// rendered is a built-in template with these values, as a task of the lab would have it.
func rendered(t *testing.T, ref string, given ...param.Given) template.Rendered {
	t.Helper()
	return render(t, platform, ref, false, given...)
}

// requestRendered is the same for the run of a request.
func requestRendered(t *testing.T, ref string, given ...param.Given) template.Rendered {
	t.Helper()
	return render(t, platform, ref, true, given...)
}

// start runs what was rendered in a pod and waits until it has ended.
func start(t *testing.T, l *labtest.Lab, r template.Rendered, change func(*corev1.PodSpec)) ended {
	t.Helper()
	grace := int64(1)
	c := corev1.Container{Name: "task", Image: r.Image, Command: r.Command, WorkingDir: "/workspace"}
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: r.Env[name]})
	}
	c.VolumeMounts = []corev1.VolumeMount{{Name: "workspace", MountPath: "/workspace"}}
	spec := corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &grace,
		Volumes:    []corev1.Volume{{Name: "workspace", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		Containers: []corev1.Container{c},
	}
	mountFiles(t, l, &spec, r.Files)
	change(&spec)
	pods := l.Client.CoreV1().Pods(l.Namespace)
	pod, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "task-"}, Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return await(t, l, pod.Name)
}

// mountFiles gives the container its files, each of which lies in a folder of its own kind.
func mountFiles(t *testing.T, l *labtest.Lab, s *corev1.PodSpec, files map[string]string) {
	t.Helper()
	folders := map[string]map[string]string{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if folders[path.Dir(file)] == nil {
			folders[path.Dir(file)] = map[string]string{}
		}
		folders[path.Dir(file)][path.Base(file)] = files[file]
	}
	for folder, data := range folders {
		m, err := l.Client.CoreV1().ConfigMaps(l.Namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "files-"}, Data: data}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		source := corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: m.Name}}}
		mount(s, m.Name, folder, source)
	}
}

func mount(s *corev1.PodSpec, name, folder string, source corev1.VolumeSource) {
	s.Volumes = append(s.Volumes, corev1.Volume{Name: name, VolumeSource: source})
	c := &s.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: folder, ReadOnly: true})
}

func await(t *testing.T, l *labtest.Lab, name string) ended {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pods := l.Client.CoreV1().Pods(l.Namespace)
	w, err := pods.Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok || pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			continue
		}
		stream, err := pods.GetLogs(name, &corev1.PodLogOptions{Container: "task"}).Stream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		log, err := io.ReadAll(stream)
		if err != nil {
			t.Fatal(err)
		}
		end := pod.Status.ContainerStatuses[0].State.Terminated
		return ended{end.ExitCode, string(log), end.Message}
	}
	t.Fatalf("pod %s has not ended after %v", name, patience)
	return ended{}
}

// holding fills the pod's working directory by a script before the task starts.
func holding(script string) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.InitContainers = []corev1.Container{{
			Name: "clone", Image: labtest.Busybox, Command: []string{"sh", "-ec", script}, WorkingDir: "/workspace",
			VolumeMounts: []corev1.VolumeMount{{Name: "workspace", MountPath: "/workspace"}},
		}}
	}
}

// has fails the test when a log lacks one of these texts.
func (e ended) has(t *testing.T, code int32, texts ...string) {
	t.Helper()
	if e.code != code {
		t.Errorf("exit code %d, want %d; log:\n%s", e.code, code, e.log)
	}
	for _, text := range texts {
		if !strings.Contains(e.log, text) {
			t.Errorf("no %q in the log:\n%s", text, e.log)
		}
	}
}
