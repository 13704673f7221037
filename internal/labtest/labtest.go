// Package labtest gives a test the lab: the real Kubernetes that `make lab-up` starts on this machine, see test/lab. Files
// of tests that need it begin with `//go:build lab`, and `make e2e` runs them. It calls the cluster, and test/lab/lab.sh to
// break it. It never fakes a cluster, never skips, and refuses every cluster but the lab: tests make and delete things.
package labtest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Registry is the lab's registry of images, which speaks plain HTTP. Anybody may push to it.
const Registry = "127.0.0.1:5000"

// Images that test/lab/images.sh made. They can be run by any user; all but Kaniko have a shell.
const (
	Busybox     = Registry + "/busybox:1.35"
	Git         = Registry + "/git:1" // with OpenSSH's client
	Kaniko      = Registry + "/kaniko-executor:v1.24.0"
	KanikoDebug = Registry + "/kaniko-executor:v1.24.0-debug" // its shell is /busybox/sh
	Kubectl     = Registry + "/kubectl:1.34"
	Ansible     = Registry + "/ansible:2.14"
	Redis       = Registry + "/redis:7.0"
)

// HostNetwork is the label that gives each new pod of its namespace the host's network when its value is "true". Pods
// reach the servers of a test, the registry and the API server by it, all at 127.0.0.1.
const HostNetwork = "lab.millrace.dev/hostnetwork"

// name is the context in the lab's kubeconfig, and so how the lab is known.
const name = "millrace-lab"

// patience bounds each wait for the lab.
const patience = time.Minute

// Lab is the lab as one test uses it.
type Lab struct {
	Kubeconfig string                // the path of an administrator's
	Config     *rest.Config          // the same, with no limit of its own to the rate of requests
	Client     *kubernetes.Clientset // of Config
	Namespace  string                // of this test alone, with HostNetwork; is deleted when the test ends

	dir string // K8S_RUN
}

// Open returns the lab that KUBECONFIG names. It fails t when there is none.
func Open(t testing.TB) *Lab {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Fatal("labtest: this test needs a real Kubernetes and KUBECONFIG is not set: run `make lab-up` and export the KUBECONFIG that it prints, or run `make e2e`")
	}
	file, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatalf("labtest: read KUBECONFIG: %v; run `make lab-up` and export the KUBECONFIG that it prints", err)
	}
	if file.CurrentContext != name {
		t.Fatalf("labtest: %s is for %q and not for the lab; tests make and delete things there: run `make lab-up` and export the KUBECONFIG that it prints", path, file.CurrentContext)
	}
	l := &Lab{Kubeconfig: path, dir: filepath.Dir(path)}
	if l.Config, err = clientcmd.NewDefaultClientConfig(*file, nil).ClientConfig(); err != nil {
		t.Fatalf("labtest: use %s: %v", path, err)
	}
	l.Config.QPS = -1
	if l.Client, err = kubernetes.NewForConfig(l.Config); err != nil {
		t.Fatalf("labtest: use %s: %v", path, err)
	}
	l.Namespace = l.NewNamespace(t, map[string]string{HostNetwork: "true"})
	return l
}

// Program is the path of one of the lab's own programs: kubectl, crane.
func (l *Lab) Program(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.ReadFile(filepath.Join(l.dir, "bin"))
	if err != nil {
		t.Fatalf("labtest: find the lab's programs: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), name)
}

// NewNamespace makes a namespace with these labels and no others, in which pods can start at once. When the test ends it
// is deleted, and nobody waits for that.
func (l *Lab) NewNamespace(t testing.TB, labels map[string]string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ns, err := l.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "test-", Labels: labels, Annotations: map[string]string{"lab.millrace.dev/test": t.Name()},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("labtest: make a namespace: %v", err)
	}
	t.Cleanup(func() { l.deleteNamespace(t, ns.Name) })
	l.awaitDefaults(t, ns.Name)
	return ns.Name
}

func (l *Lab) deleteNamespace(t testing.TB, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience) // The test's own has ended.
	defer cancel()
	now := int64(0)
	if err := l.Client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Errorf("labtest: delete namespace %s: %v", name, err)
	}
}

// awaitDefaults waits for what controllers put into each namespace: without the service account no pod is made, and
// without the authority's certificate a kubelet makes it wait.
func (l *Lab) awaitDefaults(t testing.TB, namespace string) {
	t.Helper()
	core := l.Client.CoreV1()
	await(t, "default", core.ServiceAccounts(namespace).Watch)
	await(t, "kube-root-ca.crt", core.ConfigMaps(namespace).Watch)
}

// await returns when there is an object of this name.
func await(t testing.TB, name string, begin func(context.Context, metav1.ListOptions) (watch.Interface, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := begin(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
	if err != nil {
		t.Fatalf("labtest: wait for %s: %v", name, err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		if event.Type == watch.Added {
			return
		}
	}
	t.Fatalf("labtest: there is no %s after %v", name, patience)
}
