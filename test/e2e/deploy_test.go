//go:build lab

package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/internal/labtest"
)

// appDockerfile has two stages and a RUN, from images that only the mirror has.
const appDockerfile = `FROM ` + hub + `/busybox:1.35 AS build
ARG WHO=nobody
WORKDIR /app
COPY run.sh .
RUN echo "built by $WHO" >made && chmod 755 run.sh && chown -R 1000 .
FROM ` + hub + `/busybox:1.35
COPY --from=build /app /app
USER 1000
CMD ["/app/run.sh"]
`

const (
	goodApp = "#!/bin/sh\ncat /app/made\nexec sleep 3600\n"
	badApp  = "#!/bin/sh\necho 'api: the ledger cannot be opened'\nexit 7\n"
)

// shipping is the pipeline that builds an image and rolls a Deployment to it. %s: where the image goes; more parameters
// of all tasks.
const shipping = `name: ship
on: {push: {branches: [main]}}
stages:
  - name: build
    tasks:
      - name: image
        uses: docker_build@v1
        with: {IMAGE_REPOSITORY: %[1]s, EXTRA_TAGS: [latest], BUILD_ARGS: {WHO: millrace}%[2]s}
  - name: deploy
    tasks:
      - name: rollout
        uses: docker_deploy@v1
        with:
          {WORKLOAD_NAME: api, IMAGE: {output: image.IMAGE}, TIMEOUT: 20s, ROLLBACK: true, service_account: millrace-deploy%[2]s}
`

// TestBuildAndDeploy goes the way that Millrace is for: a push becomes an image and a rollout. A push that breaks the
// application is rolled back.
func TestBuildAndDeploy(t *testing.T) {
	t.Run("gitea by token", func(t *testing.T) {
		t.Parallel()
		ship(t, newWorld(t, newGitea(t, false)), "")
	})
	t.Run("gitlab by ssh key", func(t *testing.T) {
		t.Parallel()
		f := newGitlab(t, true)
		w := newWorld(t, f)
		w.configure("secrets: [{name: deploy-key, kubernetes: %s/deploy-key}]", w.lab.Namespace)
		create(t, w.lab.Client.CoreV1().Secrets(w.lab.Namespace).Create, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "deploy-key"},
			Data:       map[string][]byte{"ssh-privatekey": f.ssh.PrivateKey(), "known_hosts": f.ssh.KnownHosts()},
		})
		ship(t, w, ", git_ssh_secret: {secret: deploy-key}")
		if len(f.ssh.Commands()) < 4 {
			t.Errorf("over ssh came %q, want a fetch of each task", f.ssh.Commands())
		}
	})
}

func ship(t *testing.T, w *world, with string) {
	repository := labtest.Registry + "/" + w.lab.Namespace + "/api"
	w.deployment()
	w.deployer()
	if err := w.forge.create("api"); err != nil {
		t.Fatal(err)
	}
	w.serve()
	w.step("ready")

	commit := w.forge.push(t, "api", "Open the shop", map[string]string{
		"Dockerfile": appDockerfile, "run.sh": goodApp, ".millrace.yaml": fmt.Sprintf(shipping, repository, with),
	})
	s := w.forge.verdict(t, "api", commit, "ship", 3*time.Minute)
	w.step("image built and rolled out")
	r := w.run(commit)
	if s.state != "success" || r.State != "succeeded" || s.link != r.URL {
		t.Fatalf("status %+v, run %s %s\nimage: %s\nrollout: %s", s, r.State, r.Reason, w.kept(r, "image", "log"), w.kept(r, "rollout", "log"))
	}
	image := w.built(r, repository)
	w.deployed(image)
	w.repeatable(r)
	w.step("looked at")

	commit = w.forge.push(t, "api", "Open the ledger", map[string]string{"run.sh": badApp})
	s = w.forge.verdict(t, "api", commit, "ship", 3*time.Minute)
	w.step("broken image rolled back")
	r = w.run(commit)
	if s.state != "failure" || r.State != "failed" || task(t, r, "image").State != "succeeded" || task(t, r, "rollout").State != "failed" {
		t.Errorf("status %+v, run %+v", s, r)
	}
	if broken := task(t, r, "image").Outputs["IMAGE"]; broken == image {
		t.Errorf("the broken image is the good one: %s", broken)
	}
	w.deployed(image)
	if log := w.kept(r, "rollout", "log"); !strings.Contains(log, "api: the ledger cannot be opened") || !strings.Contains(log, "is back at") {
		t.Errorf("the log lacks the failing pod's last lines, or the way back:\n%s", log)
	}
	w.step("looked at")
}

// manifestTypes are the manifests that a registry may answer with.
const manifestTypes = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"

var digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// built checks what the image's task handed on, and that the registry has it. It returns the image with its digest.
func (w *world) built(r api.Run, repository string) string {
	w.t.Helper()
	out := task(w.t, r, "image").Outputs
	image := repository + "@" + out["IMAGE_DIGEST"]
	if !digest.MatchString(out["IMAGE_DIGEST"]) || out["IMAGE"] != image || out["IMAGE_TAGGED"] != repository+":"+r.Version {
		w.t.Fatalf("outputs %v of version %s", out, r.Version)
	}
	host, path, _ := strings.Cut(repository, "/")
	for _, ref := range []string{out["IMAGE_DIGEST"], r.Version, "latest"} {
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodHead, "http://"+host+"/v2/"+path+"/manifests/"+ref, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Accept", manifestTypes)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Docker-Content-Digest"); res.StatusCode != http.StatusOK || got != out["IMAGE_DIGEST"] {
			w.t.Errorf("the registry's %s is %s %s, want %s", ref, res.Status, got, out["IMAGE_DIGEST"])
		}
	}
	return image
}

// deployed checks that the Deployment's one ready pod runs this image.
func (w *world) deployed(image string) {
	w.t.Helper()
	d, err := w.lab.Client.AppsV1().Deployments(w.lab.Namespace).Get(w.t.Context(), "api", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	if got := d.Spec.Template.Spec.Containers[0].Image; got != image || d.Status.AvailableReplicas != 1 || d.Status.UpdatedReplicas != 1 {
		w.t.Errorf("the Deployment has %s, %+v; want %s", got, d.Status, image)
	}
	pods, err := w.lab.Client.CoreV1().Pods(w.lab.Namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: "app=api"})
	if err != nil {
		w.t.Fatal(err)
	}
	_, digest, _ := strings.Cut(image, "@")
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil || len(p.Status.ContainerStatuses) == 0 {
			continue
		}
		if c := p.Status.ContainerStatuses[0]; c.Ready && strings.HasSuffix(c.ImageID, digest) {
			return
		}
	}
	w.t.Errorf("no ready pod runs %s: %+v", image, pods.Items)
}

// repeatable checks that a task's manifest makes the Job again, and that its events tell what happened.
func (w *world) repeatable(r api.Run) {
	w.t.Helper()
	for _, name := range []string{"image", "rollout"} {
		manifest := w.kept(r, name, "manifest")
		var job batchv1.Job
		if err := yaml.UnmarshalStrict([]byte(manifest), &job); err != nil {
			w.t.Fatalf("%v in:\n%s", err, manifest)
		}
		if events := w.kept(r, name, "events"); !strings.Contains(events, "kind: EventList") || !strings.Contains(events, job.Name) {
			w.t.Errorf("events of %s:\n%s", name, events)
		}
		again := strings.ReplaceAll(manifest, "name: "+job.Name+"\n", "name: again\n")
		cmd := exec.CommandContext(w.t.Context(), w.lab.Program(w.t, "kubectl"), "--namespace", w.lab.Namespace, "create", "--dry-run=server", "--filename", "-")
		cmd.Env, cmd.Stdin = append(os.Environ(), "KUBECONFIG="+w.lab.Kubeconfig), strings.NewReader(again)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "job.batch/again created (server dry run)") {
			w.t.Errorf("kubectl create: %v\n%s\nof\n%s", err, out, again)
		}
	}
}

// deployment makes what is to be rolled: an application that runs, and that a crash within two seconds does not pass for.
func (w *world) deployment() {
	w.t.Helper()
	one, grace, labels := int32(1), int64(0), map[string]string{"app": "api"}
	create(w.t, w.lab.Client.AppsV1().Deployments(w.lab.Namespace).Create, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "api"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one, MinReadySeconds: 2, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				TerminationGracePeriodSeconds: &grace, NodeSelector: map[string]string{"kubernetes.io/hostname": "localhost"},
				Containers: []corev1.Container{{
					Name: "api", Image: labtest.Busybox, Command: []string{"sh", "-c", "test ! -e /app/run.sh || exec /app/run.sh; exec sleep 3600"},
				}},
			}},
		},
	})
}

var documentedRole = regexp.MustCompile("(?s)```yaml\n(apiVersion: rbac[^`]*name: millrace-deploy[^`]*)```")

// deployer makes the service account that deploys, with the Role that docs/templates.md says and no other right.
func (w *world) deployer() {
	w.t.Helper()
	docs, err := os.ReadFile("../../docs/templates.md")
	if err != nil {
		w.t.Fatal(err)
	}
	found := documentedRole.FindSubmatch(docs)
	if found == nil {
		w.t.Fatal("docs/templates.md says no Role for docker_deploy")
	}
	var role rbacv1.Role
	if err := yaml.UnmarshalStrict(found[1], &role); err != nil {
		w.t.Fatal(err)
	}
	name := metav1.ObjectMeta{Name: role.Name}
	create(w.t, w.lab.Client.CoreV1().ServiceAccounts(w.lab.Namespace).Create, &corev1.ServiceAccount{ObjectMeta: name})
	create(w.t, w.lab.Client.RbacV1().Roles(w.lab.Namespace).Create, &role)
	create(w.t, w.lab.Client.RbacV1().RoleBindings(w.lab.Namespace).Create, &rbacv1.RoleBinding{
		ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: role.Name, Namespace: w.lab.Namespace}},
	})
}

// create makes an object as the lab's administrator.
func create[T any](t testing.TB, by func(context.Context, *T, metav1.CreateOptions) (*T, error), object *T) {
	t.Helper()
	if _, err := by(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
