//go:build lab

package labtest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/millrace-ci/millrace/internal/labtest"
)

// stranger is a user that no image knows.
const stranger = 23456

// pod is one container that runs script in image, as a user without any right.
func pod(image, script string) corev1.PodSpec {
	no, yes, user := false, true, int64(stranger)
	return corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: "main", Image: image, Command: []string{"sh", "-ec", script},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}
}

// run runs a pod to its end and returns what it printed. It fails t unless the pod succeeds.
func run(t *testing.T, l *labtest.Lab, spec corev1.PodSpec) string {
	t.Helper()
	p := until(t, l, create(t, l, spec), func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	})
	var all strings.Builder
	for _, c := range append(p.Spec.InitContainers, p.Spec.Containers...) {
		out, err := l.Client.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: c.Name}).Stream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&all, out); err != nil {
			t.Fatal(err)
		}
		out.Close()
	}
	if p.Status.Phase != corev1.PodSucceeded {
		t.Fatalf("pod failed:\n%s", all.String())
	}
	return all.String()
}

func create(t *testing.T, l *labtest.Lab, spec corev1.PodSpec) *corev1.Pod {
	t.Helper()
	p, err := l.Client.CoreV1().Pods(l.Namespace).Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "p-"}, Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// until returns p once done says so of it.
func until(t *testing.T, l *labtest.Lab, p *corev1.Pod, done func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", p.Name).String()}
	w, err := l.Client.CoreV1().Pods(p.Namespace).Watch(ctx, only)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		if now, ok := event.Object.(*corev1.Pod); ok && event.Type != watch.Deleted {
			if p = now; done(p) {
				return p
			}
		}
	}
	t.Fatalf("pod %s: still %+v", p.Name, p.Status)
	return nil
}

// TestImages runs each image as a user that it does not know, who can write to HOME and /tmp.
func TestImages(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t)
	for image, test := range map[string]struct{ script, want string }{
		labtest.Busybox: {"id -u", "23456"},
		labtest.Git:     {"git init -q /tmp/r && git -C /tmp/r status && command -v ssh", "/usr/bin/ssh"},
		labtest.Kubectl: {"kubectl version --client", "Client Version: v1.34"},
		labtest.Ansible: {"ansible localhost -m ping", "pong"},
	} {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			if got := run(t, l, pod(image, "touch $HOME/f /tmp/f; "+test.script)); !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	t.Run("kaniko", func(t *testing.T) {
		t.Parallel()
		for image, command := range map[string][]string{
			labtest.Kaniko: {"/kaniko/executor", "version"}, labtest.KanikoDebug: {"sh", "-c", "/kaniko/executor version"},
		} {
			spec := pod(image, "")
			spec.Containers[0].Command = command
			if got := run(t, l, spec); !strings.Contains(got, "v1.24.0") {
				t.Errorf("%s: got %q, want v1.24.0", image, got)
			}
		}
	})
}

// TestNetworks sees a pod on the host's network, and one with its own in a namespace without the label.
func TestNetworks(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t)
	reach := pod(labtest.Git, "git ls-remote http://"+labtest.Registry+"/x 2>&1 || true")
	if got, want := run(t, l, reach), "not found"; !strings.Contains(got, want) {
		t.Errorf("host's network: got %q, want %q", got, want)
	}
	l.Namespace = l.NewNamespace(t, nil)
	if got, want := run(t, l, reach), "Failed to connect"; !strings.Contains(got, want) {
		t.Errorf("its own network: got %q, want %q", got, want)
	}
}

func TestCheckPod(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t)
	restricted := pod(labtest.Busybox, "true")
	restricted.ServiceAccountName = "nobody-made-it"
	root := pod(labtest.Busybox, "true")
	root.SecurityContext, root.Containers[0].SecurityContext = nil, nil
	host := pod(labtest.Busybox, "true")
	host.HostNetwork = true
	for name, tt := range map[string]struct {
		level string
		spec  corev1.PodSpec
		want  string
	}{
		"restricted pod at restricted": {"restricted", restricted, ""},
		"root at restricted":           {"restricted", root, "runAsNonRoot != true"},
		"root at baseline":             {"baseline", root, ""},
		"host's network at baseline":   {"baseline", host, "hostNetwork=true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := l.CheckPod(t, tt.level, tt.spec)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPrivateRegistry(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t)
	r := l.PrivateRegistry(t)
	spec := pod(r.Copy(t, labtest.Busybox, "shop/base:1"), "echo pulled")
	refused := until(t, l, create(t, l, spec), func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting != nil &&
			p.Status.ContainerStatuses[0].State.Waiting.Reason == "ErrImagePull"
	})
	if got := refused.Status.ContainerStatuses[0].State.Waiting.Message; !strings.Contains(got, "401 Unauthorized") {
		t.Errorf("without credentials: got %q", got)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "pull"}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: r.DockerConfig()},
	}
	if _, err := l.Client.CoreV1().Secrets(l.Namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}}
	if got, want := run(t, l, spec), "pulled\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestParts breaks the cluster and sees it whole again. It is not parallel.
func TestParts(t *testing.T) {
	l := labtest.Open(t)
	t.Run("broken", func(t *testing.T) {
		l.Kill(t, labtest.APIServer)
		if _, err := l.Client.ServerVersion(); err == nil {
			t.Error("kube-apiserver answers after its end")
		}
		l.Pause(t, labtest.Images)
		impatient := http.Client{Timeout: 200 * time.Millisecond}
		if answer, err := impatient.Get("http://" + labtest.Registry + "/v2/"); err == nil {
			answer.Body.Close()
			t.Error("the registry answers while it is paused")
		}
		l.Resume(t, labtest.Images)
		for _, part := range []labtest.Part{labtest.Etcd, labtest.Containerd, labtest.Kubelet, labtest.Scheduler, labtest.Controllers} {
			l.Kill(t, part)
		}
	})
	if got, want := run(t, l, pod(labtest.Busybox, "echo mended")), "mended\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
