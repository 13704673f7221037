//go:build lab

package template_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
)

// dockerfile builds FROM a host that only the operator's mirror knows.
const dockerfile = `mkdir -p api && echo hello >api/hello.txt && cat >api/Dockerfile <<'EOF'
FROM mirrored.example.com/busybox:1.35 AS first
ARG WHO=nobody
COPY hello.txt /hello.txt
RUN echo "built by $WHO" >>/hello.txt
FROM scratch
COPY --from=first /hello.txt /hello.txt
` + "EOF\n"

// TestDockerBuild builds and pushes with a real kaniko, and reads the outputs as a runner does.
func TestDockerBuild(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t)
	repository := labtest.Registry + "/" + l.Namespace + "/api"
	r := rendered(
		t, "docker_build@v1", given("IMAGE_REPOSITORY", repository), given("CONTEXT", "api"), given("CACHE_ENABLE", "true"),
		listed("EXTRA_TAGS", "latest"), listed("EXTRA_DESTINATIONS", labtest.Registry+"/"+l.Namespace+"/other:v2"),
		mapped("BUILD_ARGS", "WHO", `"; exit 1; "`), mapped("LABELS", "team", "shop", "org.opencontainers.image.version", "mine"),
		listed("EXTRA_FLAGS", "--log-timestamp", "--image-download-retry=1"),
	)
	got := start(t, l, r, holding(dockerfile))
	got.has(t, 0, "mirrored.example.com", "Pushed "+repository)
	outputs, err := runners.ParseMessage(got.message, map[string]runners.Part{"IMAGE": runners.Image, "IMAGE_DIGEST": runners.ImageDigest, "IMAGE_TAGGED": runners.ImageTagged})
	if err != nil {
		t.Fatal(err)
	}
	digest := outputs["IMAGE_DIGEST"]
	want := map[string]string{"IMAGE": repository + "@" + digest, "IMAGE_DIGEST": digest, "IMAGE_TAGGED": repository + ":v1"}
	if diff := cmp.Diff(want, outputs); diff != "" || !strings.HasPrefix(digest, "sha256:") {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	labels := labelsOf(t, l.Namespace+"/api", digest)
	wanted := map[string]string{
		"org.opencontainers.image.source": "https://git.example.com/shop/api.git", "org.opencontainers.image.revision": "c0ffee",
		"org.opencontainers.image.version": "mine", "org.opencontainers.image.created": "2026-01-02T03:04:05Z", "team": "shop",
	}
	if diff := cmp.Diff(wanted, labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	for _, ref := range []string{"api/manifests/latest", "other/manifests/v2", "api/cache/tags/list"} {
		fetch(t, l.Namespace+"/"+ref, nil)
	}
}

// TestDockerBuildOfRequest holds that a request's run pushes nothing by itself, and never adds to the cache.
func TestDockerBuildOfRequest(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t)
	repository := labtest.Registry + "/" + l.Namespace + "/api"
	for _, push := range []string{"false", "true"} {
		r := requestRendered(t, "docker_build@v1", given("IMAGE_REPOSITORY", repository), given("CONTEXT", "api"), given("CACHE_ENABLE", "true"), given("CACHE_PUSH", "true"), given("PUSH", push))
		got := start(t, l, r, holding(dockerfile))
		got.has(t, 0)
		if pushed := strings.Contains(got.log, "Pushed "+repository); pushed != (push == "true") || (got.message != "") != pushed {
			t.Errorf("PUSH %s: pushed %v, message %q", push, pushed, got.message)
		}
		if status(t, l.Namespace+"/api/cache/tags/list") != http.StatusNotFound {
			t.Error("there are layers in the cache")
		}
	}
}

// TestDockerBuildPrivate pushes to a registry that wants a password and whose certificate nobody knows but the operator.
func TestDockerBuildPrivate(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t)
	private := l.PrivateRegistry(t)
	front := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: private.Addr})
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}})
	t.Cleanup(front.Close)
	host := front.Listener.Addr().String()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	p := platform
	p.Registries = append(slices.Clone(p.Registries), template.Registry{Host: host, CA: string(ca)})
	image := host + "/shop/api"
	r := render(t, p, "docker_build@v1", false, given("IMAGE_REPOSITORY", image), given("CONTEXT", "api"), secret("image_push_secret", "harbor", ""))
	key, mounted := ".dockerconfigjson", r.Secrets[0]
	login, err := l.Client.CoreV1().Secrets(l.Namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "harbor"}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{key: bytes.ReplaceAll(private.DockerConfig(), []byte(private.Addr), []byte(host))},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	prepare := holding(dockerfile)
	got := start(t, l, r, func(s *corev1.PodSpec) {
		prepare(s)
		mount(s, "login", mounted.Path, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: login.Name, Items: []corev1.KeyToPath{{Key: key, Path: mounted.As[key]}},
		}})
	})
	got.has(t, 0, "Pushed "+image)
	if !strings.HasPrefix(got.message, image+":v1@sha256:") {
		t.Errorf("message %q", got.message)
	}
}

// labelsOf reads an image's labels from the registry.
func labelsOf(t *testing.T, name, digest string) map[string]string {
	t.Helper()
	var manifest struct {
		Config struct{ Digest string }
	}
	fetch(t, name+"/manifests/"+digest, &manifest)
	var config struct {
		Config struct{ Labels map[string]string }
	}
	fetch(t, name+"/blobs/"+manifest.Config.Digest, &config)
	return config.Config.Labels
}

func fetch(t *testing.T, path string, into any) {
	t.Helper()
	resp := ask(t, path)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, resp.Status)
	}
	if into == nil {
		return
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

func status(t *testing.T, path string) int {
	t.Helper()
	resp := ask(t, path)
	defer resp.Body.Close()
	return resp.StatusCode
}

func ask(t *testing.T, path string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+labtest.Registry+"/v2/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}
