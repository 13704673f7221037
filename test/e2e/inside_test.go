//go:build lab

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/millrace-ci/millrace/internal/labtest"
)

// building is the pipeline that builds Millrace itself. The stage that compiles is thrown away, so nothing of it need be
// looked at.
const building = `name: release
on: push
stages:
  - name: build
    tasks:
      - name: image
        uses: docker_build@v1
        with:
          IMAGE_REPOSITORY: %s
          BUILD_ARGS: {GOPROXY: %q, GOSUMDB: %q, VERSION: e2e}
          SINGLE_SNAPSHOT: true
          IGNORE_PATHS: [/go, /root]
`

// tiny is the pipeline that the Millrace inside runs.
const tiny = `name: inside
on: push
stages: [{name: build, tasks: [{name: image, uses: docker_build@v1, with: {IMAGE_REPOSITORY: %s}}]}]
`

// smallImage is how many bytes of layers the image may have.
const smallImage = 30 << 20

// TestInside builds Millrace by Millrace, installs that image into the cluster from deploy/kubernetes, and pushes from
// outside: a Millrace that runs in a pod makes the Job.
//
// What is not as in deploy/kubernetes: names of images, addresses, and storage, which is gone with its pod. The lab gives
// pods only the host's network, which Pod Security refuses to all but `privileged`: so the namespaces carry the lab's
// label instead of theirs, and whether the pods are `restricted` and `baseline` the API server is asked by dry run.
func TestInside(t *testing.T) {
	w := newWorld(t, newGitea(t, false))
	image := w.selfMade()

	install(w, image)
	w.step("installed in the cluster, and ready")

	repository := labtest.Registry + "/" + w.lab.Namespace + "/tiny"
	if err := w.forge.create("tiny"); err != nil {
		t.Fatal(err)
	}
	commit := w.forge.push(t, "tiny", "Begin", map[string]string{
		"Dockerfile": appDockerfile, "run.sh": goodApp, ".millrace.yaml": fmt.Sprintf(tiny, repository),
	})
	s := w.forge.verdict(t, "tiny", commit, "inside", 3*time.Minute)
	w.step("pushed from outside, built inside")
	r := w.run(commit)
	if s.state != "success" || r.State != "succeeded" {
		t.Fatalf("status %+v, run %+v\n%s", s, r, w.kept(r, "image", "log"))
	}
	var job batchv1.Job
	if err := yaml.Unmarshal([]byte(w.kept(r, "image", "manifest")), &job); err != nil {
		t.Fatal(err)
	}
	if job.Namespace != jobsNamespace {
		t.Errorf("the Job is in namespace %s", job.Namespace)
	}
	poll(t, 30*time.Second, "the Job's own status says so too", func() bool { // Its controller is behind its pod.
		made, err := w.lab.Client.BatchV1().Jobs(jobsNamespace).Get(t.Context(), job.Name, metav1.GetOptions{})
		return err == nil && made.Status.Succeeded == 1
	})
	if refused := w.lab.CheckPod(t, "baseline", job.Spec.Template.Spec); refused != "" {
		t.Error(refused)
	}
	w.step("looked at")
}

// selfMade builds the image of Millrace from this repository, as it lies here, with a Millrace outside of the cluster.
func (w *world) selfMade() string {
	t := w.t
	t.Helper()
	repository := labtest.Registry + "/" + w.lab.Namespace + "/millrace"
	if err := w.forge.create("millrace"); err != nil {
		t.Fatal(err)
	}
	files := checkout(t)
	proxy, sums := modules(t)
	files[".millrace.yaml"] = fmt.Sprintf(building, repository, proxy, sums)
	d := w.serve()
	w.step("ready")
	commit := w.forge.push(t, "millrace", "Build a mill", files)
	s := w.forge.verdict(t, "millrace", commit, "release", 12*time.Minute)
	r := w.run(commit)
	if s.state != "success" {
		t.Fatalf("status %+v\n%s", s, w.kept(r, "image", "log"))
	}
	image := task(t, r, "image").Outputs["IMAGE"]
	size := layers(t, image)
	w.step("built its own image %s: %.1f MiB", image, float64(size)/(1<<20))
	if size > smallImage {
		t.Errorf("the image has %d bytes, more than %d", size, smallImage)
	}
	d.end(t, syscall.SIGTERM)
	return image
}

// checkout is the files of this repository.
func checkout(t testing.TB) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..")
	list := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "--cached", "-z")
	names, err := list.Output()
	if err != nil {
		t.Fatalf("list the files of this repository: %v", err)
	}
	files := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // It was removed, and that is not committed.
		}
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(data)
	}
	return files
}

// modules serves the modules that this machine has, and says how they are asked for: what it lacks comes from where its
// own Go gets it.
func modules(t testing.TB) (proxy, sums string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE", "GOPROXY", "GOSUMDB").Output()
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Split(string(out), "\n")
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(env[0], "cache", "download"))))
	t.Cleanup(server.Close)
	proxy = server.URL
	if env[1] != "" {
		proxy += "," + env[1]
	}
	return proxy, env[2]
}

// layers is how many bytes an image of the lab's registry has.
func layers(t testing.TB, image string) (size int64) {
	t.Helper()
	host, rest, _ := strings.Cut(image, "/")
	path, digest, _ := strings.Cut(rest, "@")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/"+path+"/manifests/"+digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", manifestTypes)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var manifest struct{ Layers []struct{ Size int64 } }
	if err := json.NewDecoder(res.Body).Decode(&manifest); err != nil || len(manifest.Layers) == 0 {
		t.Fatalf("manifest of %s: %s, %v", image, res.Status, err)
	}
	for _, l := range manifest.Layers {
		size += l.Size
	}
	return size
}

// freePort is one that nobody listens at.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
