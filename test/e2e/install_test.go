//go:build lab

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/millrace-ci/millrace/internal/labtest"
)

// The namespaces that deploy/kubernetes makes.
const namespace, jobsNamespace = "millrace", "millrace-jobs"

// installation is Millrace in the cluster.
type installation struct {
	*world
	image           string
	port, redisPort string
}

// install applies deploy/kubernetes with this image of Millrace, waits until it is ready, and has the forge send it what
// happens. The world's address is then that of the Millrace inside.
func install(w *world, image string) {
	w.t.Helper()
	in := &installation{w, image, freePort(w.t), freePort(w.t)}
	in.empty()
	for _, name := range []string{"namespaces.yaml", "rbac.yaml", "redis.yaml", "millrace.yaml"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kubernetes", name))
		if err != nil {
			w.t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(data), "\n---\n") {
			in.apply(in.adapt(document))
		}
		if name == "namespaces.yaml" {
			in.apply(fmt.Sprintf("{apiVersion: v1, kind: Secret, metadata: {name: millrace, namespace: millrace}, stringData: {forge-token: %q, webhook-secret: %q}}", token, secret))
		}
	}
	in.rolledOut("statefulset/redis")
	in.rolledOut("deployment/millrace")
	w.address = "127.0.0.1:" + in.port
	w.forge.hook(w.address)
	poll(w.t, 10*time.Second, "Millrace answers from its pod", func() bool { return w.answers("/readyz") })
}

// empty makes sure that nothing is there of an earlier installation, and that nothing is left of this one.
func (in *installation) empty() {
	in.t.Helper()
	spaces := in.lab.Client.CoreV1().Namespaces()
	remove := func() {
		for _, name := range []string{namespace, jobsNamespace} {
			if err := spaces.Delete(context.WithoutCancel(in.t.Context()), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				in.t.Errorf("delete namespace %s: %v", name, err)
			}
		}
	}
	remove()
	poll(in.t, 2*time.Minute, "nothing is left of an earlier installation", func() bool {
		return !slices.ContainsFunc([]string{namespace, jobsNamespace}, func(name string) bool {
			_, err := spaces.Get(in.t.Context(), name, metav1.GetOptions{})
			return !apierrors.IsNotFound(err)
		})
	})
	in.t.Cleanup(remove)
	in.t.Cleanup(func() {
		if in.t.Failed() {
			for _, what := range []string{"statefulset/redis", "deployment/millrace"} {
				in.t.Logf("%s:\n%s\n%s", what, in.kubectl("", "describe", what, "-n", namespace), in.kubectl("", "logs", what, "-n", namespace, "--all-pods"))
			}
			in.t.Logf("pods:\n%s", in.kubectl("", "get", "pods,events", "-n", namespace))
		}
	})
}

// adapt changes in an object what the lab must have otherwise, and nothing else. What becomes a pod is first held against
// Pod Security as it is.
func (in *installation) adapt(document string) string {
	in.t.Helper()
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
		in.t.Fatal(err)
	}
	switch kind.Kind {
	case "Namespace":
		return changed(in.t, document, func(n *corev1.Namespace) { n.Labels = map[string]string{labtest.HostNetwork: "true"} })
	case "ConfigMap":
		return changed(in.t, document, func(c *corev1.ConfigMap) { c.Data["millrace.yaml"] = in.configuration(c.Data["millrace.yaml"]) })
	case "Deployment":
		return changed(in.t, document, func(d *appsv1.Deployment) {
			in.pod(&d.Spec.Template.Spec, in.image, in.port)
			for i, v := range d.Spec.Template.Spec.Volumes {
				if v.PersistentVolumeClaim != nil {
					d.Spec.Template.Spec.Volumes[i] = scratch(v.Name)
				}
			}
		})
	case "StatefulSet":
		return changed(in.t, document, func(s *appsv1.StatefulSet) {
			pod := &s.Spec.Template.Spec
			for _, claim := range s.Spec.VolumeClaimTemplates {
				pod.Volumes = append(pod.Volumes, scratch(claim.Name))
			}
			s.Spec.VolumeClaimTemplates = nil
			in.pod(pod, labtest.Redis, in.redisPort)
			c := &pod.Containers[0]
			c.Command = append(c.Command, "--port", in.redisPort)
			c.ReadinessProbe.Exec.Command = append(c.ReadinessProbe.Exec.Command[:1], append([]string{"-p", in.redisPort}, c.ReadinessProbe.Exec.Command[1:]...)...)
		})
	case "PersistentVolumeClaim":
		return ""
	}
	return document
}

// pod gives a pod an image of the lab and a port that is free on the host.
func (in *installation) pod(spec *corev1.PodSpec, image, port string) {
	in.t.Helper()
	if refused := in.lab.CheckPod(in.t, "restricted", *spec); refused != "" {
		in.t.Errorf("Pod Security: %s", refused)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		in.t.Fatal(err)
	}
	spec.Containers[0].Image = image
	spec.Containers[0].Ports[0].ContainerPort = int32(number)
	spec.NodeSelector = map[string]string{"kubernetes.io/hostname": "localhost"}
}

// configuration is millrace.yaml with the addresses and images of the lab.
func (in *installation) configuration(text string) string {
	in.t.Helper()
	for old, now := range map[string]string{
		":8080": ":" + in.port, "redis://redis:6379": "redis://127.0.0.1:" + in.redisPort, "https://gitea.example.com": in.forge.url,
		"service_accounts: [deploy]": "service_accounts: [deploy], node_selector: {kubernetes.io/hostname: localhost}",
	} {
		if !strings.Contains(text, old) {
			in.t.Fatalf("deploy/kubernetes has no %q any more", old)
		}
		text = strings.ReplaceAll(text, old, now)
	}
	return text + imagesOfLab
}

func scratch(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

// changed is an object after change.
func changed[T any](t testing.TB, document string, change func(*T)) string {
	t.Helper()
	var object T
	if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
		t.Fatal(err)
	}
	change(&object)
	data, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (in *installation) apply(document string) {
	in.t.Helper()
	if document != "" {
		in.kubectl(document, "apply", "--filename", "-")
	}
}

func (in *installation) rolledOut(what string) {
	in.t.Helper()
	in.kubectl("", "rollout", "status", what, "-n", namespace, "--timeout=90s")
}

// kubectl calls it as the administrator. A call that goes wrong fails the test.
func (in *installation) kubectl(stdin string, args ...string) string {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(in.t.Context()), 2*time.Minute) // It is also called when the test has ended.
	defer cancel()
	cmd := exec.CommandContext(ctx, in.lab.Program(in.t, "kubectl"), args...)
	cmd.Env, cmd.Stdin = append(os.Environ(), "KUBECONFIG="+in.lab.Kubeconfig), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		in.t.Errorf("kubectl %s: %v\n%s\n%s", strings.Join(args, " "), err, out, stdin)
	}
	return string(out)
}
