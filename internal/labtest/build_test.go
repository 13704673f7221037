//go:build lab

package labtest_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/internal/sshtest"
	"github.com/millrace-ci/millrace/test/forgekit"
)

const dockerfile = `FROM ` + labtest.Busybox + ` AS build
ARG WHO=nobody
WORKDIR /app
COPY hello.txt .
RUN echo "built by $WHO" >> hello.txt && chown 1000 hello.txt
FROM ` + labtest.Busybox + `
COPY --from=build /app /app
USER 1000
CMD ["sh", "-c", "cat /app/hello.txt; exec sleep 3600"]
`

// TestBuildAndDeploy goes the way that the lab is for: git clone by ssh, kaniko, registry, kubectl.
func TestBuildAndDeploy(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t)
	server := serveApp(t)
	image := labtest.Registry + "/" + l.Namespace + "/app:v2"

	ended := run(t, l, build(t, l, server, image))
	digest := strings.TrimSpace(ended[strings.LastIndex(ended, "sha256:"):])
	deploy(t, l, image+"@"+digest)
}

// serveApp serves shop/app.git with a Dockerfile in it.
func serveApp(t *testing.T) *sshtest.Server {
	t.Helper()
	root := t.TempDir()
	r := &forgekit.Repo{Root: root, Path: "shop/app"}
	if err := r.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	tree, err := forgekit.Clone(t.Context(), r.Dir(), "main")
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if _, err := tree.Commit(t.Context(), "one", map[string]string{"Dockerfile": dockerfile, "hello.txt": "hello\n"}); err != nil {
		t.Fatal(err)
	}
	if err := tree.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := sshtest.Start(filepath.Clean(root))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// build is a pod that clones as a user without rights, and builds and pushes as kaniko must, as root.
func build(t *testing.T, l *labtest.Lab, server *sshtest.Server, image string) corev1.PodSpec {
	t.Helper()
	key := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "key"},
		Data:       map[string][]byte{"id": server.PrivateKey(), "known_hosts": server.KnownHosts()},
	}
	if _, err := l.Client.CoreV1().Secrets(l.Namespace).Create(t.Context(), key, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	user, mode := int64(65532), int32(0o440)
	source := corev1.VolumeMount{Name: "source", MountPath: "/workspace"}
	return corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, SecurityContext: &corev1.PodSecurityContext{FSGroup: &user},
		Volumes: []corev1.Volume{
			{Name: "source", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "key", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "key", DefaultMode: &mode}}},
		},
		InitContainers: []corev1.Container{{
			Name: "clone", Image: labtest.Git, SecurityContext: &corev1.SecurityContext{RunAsUser: &user},
			// OpenSSH takes no key that a group may read, and the owner of a Secret's file is root.
			Command: []string{"sh", "-ec", fmt.Sprintf(`umask 077; cp /key/id /tmp/id
export GIT_SSH_COMMAND="ssh -F none -i /tmp/id -o UserKnownHostsFile=/key/known_hosts"
git clone -q --depth=1 %s /workspace/app`, server.URL("/shop/app.git"))},
			VolumeMounts: []corev1.VolumeMount{source, {Name: "key", MountPath: "/key"}},
		}},
		Containers: []corev1.Container{{
			Name: "kaniko", Image: labtest.KanikoDebug,
			Command: []string{"sh", "-ec", `/kaniko/executor --context=dir:///workspace/app --destination=` + image + ` --build-arg=WHO=kaniko \
				--insecure --insecure-pull --digest-file=/dev/termination-log; echo; cat /dev/termination-log`},
			VolumeMounts: []corev1.VolumeMount{source},
		}},
	}
}

// deploy rolls a Deployment to image from a pod whose service account may do that and no more.
func deploy(t *testing.T, l *labtest.Lab, image string) {
	t.Helper()
	ctx, app := t.Context(), map[string]string{"app": "app"}
	zero := int64(0)
	_, err := l.Client.AppsV1().Deployments(l.Namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: app}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: app},
			Spec: corev1.PodSpec{
				TerminationGracePeriodSeconds: &zero,
				Containers:                    []corev1.Container{{Name: "app", Image: labtest.Busybox, Command: []string{"sleep", "3600"}}},
			},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	allow(ctx, t, l)
	got := run(t, l, corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, ServiceAccountName: "deployer",
		Containers: []corev1.Container{{Name: "kubectl", Image: labtest.Kubectl, Command: []string{
			"sh", "-ec", "kubectl set image deployment/app app=" + image + "; kubectl rollout status deployment/app --timeout=60s; ! kubectl get secrets 2>&1",
		}}},
	})
	for _, want := range []string{"successfully rolled out", "secrets is forbidden"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func allow(ctx context.Context, t *testing.T, l *labtest.Lab) {
	t.Helper()
	name := metav1.ObjectMeta{Name: "deployer"}
	_, err := l.Client.CoreV1().ServiceAccounts(l.Namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: name}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Client.RbacV1().Roles(l.Namespace).Create(ctx, &rbacv1.Role{ObjectMeta: name, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "list", "watch", "patch"}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Client.RbacV1().RoleBindings(l.Namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "deployer"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "deployer", Namespace: l.Namespace}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
