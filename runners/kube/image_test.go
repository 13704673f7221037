package kube_test

import (
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/kube"
)

func TestMirrored(t *testing.T) {
	t.Parallel()
	mirrors := map[string]string{
		"gcr.io":                    "gcr.example.com/",
		"gcr.io/tools":              "harbor.example.com/tools",
		"gcr.io/tools/scan":         "harbor.example.com/own/scanner",
		"quay.io/a/b:1":             "harbor.example.com/a/b:one",
		"docker.io":                 "hub.example.com",
		"docker.io/bitnami":         "harbor.example.com/bitnami",
		"golang:1.26":               "harbor.example.com/go:1.26-patched",
		"grafana/loki":              "harbor.example.com/loki",
		"localhost":                 "never.example.com",
		"registry:5000/":            "harbor.example.com/old",
		"HUB.Example.com:5000/team": "harbor.example.com/team",
	}
	digest := "@sha256:" + strings.Repeat("a", 64)
	for image, want := range map[string]string{
		"gcr.io/x/y:1":                  "gcr.example.com/x/y:1",
		"gcr.io/tools/other" + digest:   "harbor.example.com/tools/other" + digest,
		"gcr.io/toolset/other":          "gcr.example.com/toolset/other",
		"gcr.io/tools/scan:2" + digest:  "harbor.example.com/own/scanner:2" + digest,
		"gcr.io/tools/scanner":          "harbor.example.com/tools/scanner",
		"eu.gcr.io/x":                   "eu.gcr.io/x",
		"quay.io/a/b:1":                 "harbor.example.com/a/b:one",
		"quay.io/a/b:1" + digest:        "harbor.example.com/a/b:one" + digest,
		"quay.io/a/b:12":                "quay.io/a/b:12",
		"golang:1.26":                   "harbor.example.com/go:1.26-patched",
		"docker.io/library/golang:1.26": "harbor.example.com/go:1.26-patched",
		"index.docker.io/golang:1.26":   "harbor.example.com/go:1.26-patched",
		"golang:1.25":                   "hub.example.com/library/golang:1.25",
		"alpine":                        "hub.example.com/library/alpine",
		"bitnami/redis:7":               "harbor.example.com/bitnami/redis:7",
		"grafana/loki:3":                "harbor.example.com/loki:3",
		"localhost:5000/x":              "localhost:5000/x",
		"localhost/x":                   "never.example.com/x",
		"registry:5000/x:1":             "harbor.example.com/old/x:1",
		"hub.example.com:5000/team/x":   "harbor.example.com/team/x",
		"hub.example.com:5000/teams/x":  "hub.example.com:5000/teams/x",
	} {
		if got := kube.Mirrored(mirrors, image); got != want {
			t.Errorf("%s: got %s, want %s", image, got, want)
		}
		if got := kube.Mirrored(nil, image); got != image {
			t.Errorf("%s: got %s without mirrors, want it as it was written", image, got)
		}
	}
}

// FuzzMirrored has any image come out as one that a cluster could be told, or as it was.
func FuzzMirrored(f *testing.F) {
	for _, seed := range []string{"golang:1.26", "gcr.io/a/b@sha256:0", "localhost:5000/x", "/", ":", "a//b", "gcr.io", "gcr.io/"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, key, image string) {
		got := kube.Mirrored(map[string]string{key: "mirror.example.com"}, image)
		if got != image && !strings.HasPrefix(got, "mirror.example.com") {
			t.Errorf("%q with %q: got %q", image, key, got)
		}
	})
}

func TestPullSecrets(t *testing.T) {
	t.Parallel()
	cfg, job := config(), cloned("https://git.example.com/x.git")
	cfg.Mirrors = map[string]string{"docker.io": "Mirror.example.com"}
	cfg.Registries = []kube.Registry{
		{Host: "docker.io", PullSecret: "hub"},
		{Host: "registry.example.com", PullSecret: "of-the-clone"},
		{Host: "mirror.example.com", PullSecret: "of-the-task"},
		{Host: "mirror.example.com", PullSecret: "of-the-task"},
		{Host: "mirror.example.com:5000", PullSecret: "other-port"},
		{Host: "mirror.example.com"},
	}
	if got, want := pullSecrets(t, cfg, job), "of-the-clone of-the-task"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	cfg.Mirrors = nil
	if got, want := pullSecrets(t, cfg, job), "hub of-the-clone"; got != want {
		t.Errorf("without mirrors: got %q, want %q", got, want)
	}
}

func pullSecrets(t *testing.T, cfg kube.Config, job runners.Job) string {
	t.Helper()
	made, err := cfg.Manifest(job)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, ref := range made.Spec.Template.Spec.ImagePullSecrets {
		names = append(names, ref.Name)
	}
	return strings.Join(names, " ")
}
