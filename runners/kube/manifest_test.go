package kube_test

import (
	"bytes"
	"errors"
	"flag"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/kube"
	batchv1 "k8s.io/api/batch/v1"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const commit = "0123456789abcdef0123456789abcdef01234567"

// config is a runner whose operator allows a little.
func config() kube.Config {
	return kube.Config{
		Cluster:   new(kube.Cluster),
		Namespace: "ci",
		Instance:  "k7q3vx2m5zj4b6ta",
		GitImage:  "registry.example.com/git:1",
		Log:       slog.New(slog.DiscardHandler),
	}
}

// plain is a job that asks for nothing.
func plain() runners.Job {
	return runners.Job{
		ID: "mr-abcdefghij234567abcd-1-unit-abcdef", Run: "abcdefghij234567abcd", Task: "unit", Attempt: 1,
		Image:   "golang:1.26",
		Command: []string{"sh", "-e", "-c", "go test ./..."},
		Event:   []byte(`{"kind":"push"}`),
		Grace:   10 * time.Second,
		Pod:     runners.Pod{Shell: true},
	}
}

// cloned is plain with a source.
func cloned(url string) runners.Job {
	job := plain()
	job.Source = runners.Source{URL: url, Ref: "refs/heads/main", Commit: commit}
	return job
}

// goldens are jobs and what their runner is set up with, by the name of the golden file.
func goldens() map[string]func() (kube.Config, runners.Job) {
	return map[string]func() (kube.Config, runners.Job){
		"plain_script":      func() (kube.Config, runners.Job) { return config(), plain() },
		"clone_http_token":  cloneHTTP,
		"clone_ssh_key":     cloneSSH,
		"clone_ssh_file":    cloneSSHFile,
		"kaniko":            kaniko,
		"kubectl":           kubectl,
		"secrets_kept_here": keptHere,
		"policy":            policed,
		"mirrors":           mirrored,
		"hostile":           hostile,
		"long_names":        longNames,
	}
}

func cloneHTTP() (kube.Config, runners.Job) {
	job := cloned("https://git.example.com/shop/api.git")
	job.Source.Username, job.Source.Password = "oauth2", "hush-hush-token"
	job.Timeout = 90*time.Second + time.Millisecond
	return config(), job
}

func cloneSSH() (kube.Config, runners.Job) {
	job := cloned("ssh://git@git.example.com:2222/shop/api.git")
	job.Source.Key = &runners.Secret{Name: "deploy-key", From: runners.Keeper{Kubernetes: "ci/deploy-key"}}
	return config(), job
}

func cloneSSHFile() (kube.Config, runners.Job) {
	job := cloned("ssh://git@git.example.com/shop/api.git")
	job.Source.Key = &runners.Secret{Name: "deploy-key", From: runners.Keeper{File: "/etc/millrace/key.env"}}
	return config(), job
}

func kaniko() (kube.Config, runners.Job) {
	job := cloned("https://git.example.com/shop/api.git")
	job.Task, job.Image = "image", "registry.example.com/kaniko:v1@sha256:"+strings.Repeat("a", 64)
	job.Command = []string{"/kaniko/executor", "--context=dir:///workspace", "--destination=registry.example.com/shop/api:v1", "--image-name-tag-with-digest-file=/dev/termination-log"}
	job.Outputs = map[string]runners.Part{"IMAGE": runners.Image, "IMAGE_DIGEST": runners.ImageDigest}
	job.Secrets = []runners.Secret{{
		Name: "harbor", From: runners.Keeper{Kubernetes: "ci/harbor-push"}, Path: "/kaniko/.docker",
		As: map[string]string{".dockerconfigjson": "config.json"},
	}}
	job.Pod = runners.Pod{Root: true, CPU: "2", Memory: "4Gi"}
	job.Timeout = 30 * time.Minute
	return config(), job
}

func kubectl() (kube.Config, runners.Job) {
	cfg, job := config(), plain()
	cfg.Policy.ServiceAccounts = []string{"deploy"}
	job.Task, job.Image = "rollout", "registry.example.com/kubectl:1.34"
	job.Command = []string{"/bin/sh", "/millrace-deploy/deploy.sh"}
	job.Files = map[string][]byte{"/millrace-deploy/deploy.sh": []byte("kubectl version\n"), "/etc/millrace.conf": []byte("a=1\n")}
	job.Pod = runners.Pod{ServiceAccount: "deploy", APIToken: true, Shell: true}
	return cfg, job
}

func keptHere() (kube.Config, runners.Job) {
	job := plain()
	job.Secrets = []runners.Secret{
		{Name: "token", From: runners.Keeper{File: "/etc/millrace/token.env"}, Key: "TOKEN", Env: "API_TOKEN"},
		{Name: "daemon", From: runners.Keeper{Env: []string{"NPM_TOKEN"}}, Key: "NPM_TOKEN", Env: "NPM_TOKEN"},
		{Name: "daemon", From: runners.Keeper{Env: []string{"NPM_RC"}}, Key: "NPM_RC", Path: "/npm", As: map[string]string{"NPM_RC": ".npmrc"}},
		{Name: "cluster", From: runners.Keeper{Kubernetes: "ci/tokens"}, Key: "github-token", Env: "GITHUB_TOKEN"},
		{Name: "all", From: runners.Keeper{Kubernetes: "ci/tokens"}, Path: "/tokens"},
	}
	return config(), job
}

func policed() (kube.Config, runners.Job) {
	cfg, job := config(), cloned("https://git.example.com/shop/api.git")
	cfg.Policy = kube.Policy{
		NodeSelector: map[string]string{"pool": "ci"},
		Tolerations:  []string{"ci", "arch=arm64:NoSchedule"},
		Default:      kube.Resources{CPU: "500m"},
		Max:          kube.Resources{CPU: "4", Memory: "8Gi"},
		PodSecurity:  kube.Restricted,
	}
	job.Pod.NodeSelector = map[string]string{"kubernetes.io/arch": "arm64", "pool": "ci"}
	job.Pod.Tolerations = []string{"ci=true:NoExecute", "arch=arm64:NoSchedule"}
	return cfg, job
}

func mirrored() (kube.Config, runners.Job) {
	cfg, job := config(), cloned("https://git.example.com/shop/api.git")
	cfg.Mirrors = map[string]string{"docker.io": "mirror.example.com/hub", "registry.example.com/git": "harbor.example.com/tools/git"}
	cfg.Registries = []kube.Registry{
		{Host: "harbor.example.com", PullSecret: "harbor-pull"},
		{Host: "registry.example.com", PullSecret: "not-this-one"},
		{Host: "mirror.example.com", PullSecret: "mirror-pull"},
	}
	return cfg, job
}

// hostile is a job whose values try to become code of a shell, of YAML, or of the kubelet.
func hostile() (kube.Config, runners.Job) {
	job := cloned("https://git.example.com/shop/$(PATH)';id;'.git")
	job.Source.Ref = `refs/heads/zzz";echo${IFS}"hello";#`
	job.Env = map[string]string{
		"GIT_BRANCH": `zzz";echo${IFS}"hello";#`,
		"EXPAND":     "$(HOME) $$(HOME) ${HOME} $$",
		"YAML":       "a: {b: [*c, !!python/object x]}\n---\nkind: Pod\n",
	}
	job.Command = []string{"sh", "-c", "echo $(GIT_BRANCH)", "'; touch /tmp/never; '"}
	job.Event = []byte(`{"ref":"refs/heads/zzz\";echo${IFS}\"hello\";#$(HOME)"}`)
	job.Files = map[string][]byte{"/etc/$(HOME)'; id; '": []byte("$(HOME)\n---\n")}
	return config(), job
}

func longNames() (kube.Config, runners.Job) {
	job := plain()
	job.Task, job.Attempt = strings.Repeat("t", 40), 9999
	job.ID = runners.JobID(job.Run, job.Attempt, job.Task)
	return config(), job
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, make := range goldens() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, job := make()
			got, err := cfg.Render(job)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(got, []byte("hush-hush")) {
				t.Errorf("a secret is shown:\n%s", got)
			}
			again, _ := cfg.Render(job)
			if diff := cmp.Diff(string(got), string(again)); diff != "" {
				t.Errorf("rendered twice (-first +second):\n%s", diff)
			}
			golden(t, "testdata/"+name+".yaml", got)
		})
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestLongNames(t *testing.T) {
	t.Parallel()
	_, job := longNames()
	job.ID += strings.Repeat("x", 63-len(job.ID))
	if _, err := config().Manifest(job); err != nil {
		t.Error(err)
	}
}

// TestRefused names each thing that cannot be, and the words by which its author is told.
func TestRefused(t *testing.T) {
	t.Parallel()
	rule := kube.Policy{
		ServiceAccounts: []string{"deploy", "audit"},
		NodeSelector:    map[string]string{"pool": "ci"},
		Tolerations:     []string{"ci=true", "gpu:NoSchedule"},
		Max:             kube.Resources{CPU: "4", Memory: "8Gi"},
		PodSecurity:     kube.Restricted,
	}
	tests := []struct {
		name   string
		change func(*runners.Job)
		want   string
	}{
		{"unsound", func(j *runners.Job) { j.Command = nil }, "there is no command"},
		{"no image", func(j *runners.Job) { j.Image = "" }, "the task names no image"},
		{"account", func(j *runners.Job) { j.Pod.ServiceAccount = "admin" }, `service account "admin" is not allowed: the operator of this runner allows deploy, audit`},
		{"root", func(j *runners.Job) { j.Pod.Root = true }, "the task's template needs root"},
		{"cpu", func(j *runners.Job) { j.Pod.CPU = "4100m" }, "cpu 4100m is more than the 4 that the operator of this runner allows"},
		{"memory", func(j *runners.Job) { j.Pod.Memory = "1Ti" }, "memory 1Ti is more than the 8Gi"},
		{"nonsense", func(j *runners.Job) { j.Pod.Memory = "lots" }, `memory "lots" is not a quantity: write`},
		{"negative", func(j *runners.Job) { j.Pod.CPU = "-1" }, `cpu "-1" is not a quantity`},
		{"selector", func(j *runners.Job) { j.Pod.NodeSelector = map[string]string{"pool": "prod"} }, "node selector pool=prod is not allowed: the operator of this runner wants pool=ci"},
		{"selector's name", func(j *runners.Job) { j.Pod.NodeSelector = map[string]string{"a b": "c"} }, "is not a label"},
		{"toleration", func(j *runners.Job) { j.Pod.Tolerations = []string{"master"} }, "toleration master is not allowed: the operator of this runner allows ci=true, gpu:NoSchedule"},
		{"wider toleration", func(j *runners.Job) { j.Pod.Tolerations = []string{"ci"} }, "toleration ci is not allowed"},
		{"other value", func(j *runners.Job) { j.Pod.Tolerations = []string{"ci=false"} }, "toleration ci=false is not allowed"},
		{"other effect", func(j *runners.Job) { j.Pod.Tolerations = []string{"gpu:NoExecute"} }, "toleration gpu:NoExecute is not allowed"},
		{"every effect", func(j *runners.Job) { j.Pod.Tolerations = []string{"gpu"} }, "toleration gpu is not allowed"},
		{"no toleration", func(j *runners.Job) { j.Pod.Tolerations = []string{"a=b:Sometimes"} }, "is not KEY, KEY=VALUE, KEY:EFFECT or KEY=VALUE:EFFECT"},
		{"namespace", secretJob(runners.Secret{Name: "s", From: runners.Keeper{Kubernetes: "prod/db"}, Key: "k", Env: "A"}), "secret s lies in namespace prod, and this runner's jobs in ci"},
		{"no namespace", secretJob(runners.Secret{Name: "s", From: runners.Keeper{Kubernetes: "db"}, Key: "k", Env: "A"}), `"db" is not NAMESPACE/NAME of a Secret`},
		{"entry", secretJob(runners.Secret{Name: "s", From: runners.Keeper{Kubernetes: "ci/db"}, Key: "../k", Env: "A"}), `secret s: "../k" is not the name of an entry`},
		{"file", secretJob(runners.Secret{Name: "s", From: runners.Keeper{Kubernetes: "ci/db"}, Path: "/s", As: map[string]string{"a": "../b"}}), `"../b" is not the name of an entry`},
		{"all of a file", secretJob(runners.Secret{Name: "s", From: runners.Keeper{File: "/s.env"}, Path: "/s"}), "write s/KEY"},
		{"reserved place", secretJob(runners.Secret{Name: "s", From: runners.Keeper{Kubernetes: "ci/db"}, Path: "/millrace/event"}), "nothing can be put at /millrace/event"},
		{"all of ours", secretJob(runners.Secret{Name: "s", From: runners.Keeper{Kubernetes: "ci/db"}, Path: "/workspace"}), "two things are to be at /workspace"},
		{"system's place", func(j *runners.Job) { j.Files = map[string][]byte{"/proc/self/x": nil} }, "/proc is the system's"},
		{"file in secret", func(j *runners.Job) {
			secretJob(runners.Secret{Name: "s", From: runners.Keeper{Kubernetes: "ci/db"}, Path: "/s"})(j)
			j.Files = map[string][]byte{"/s/x": nil}
		}, "nothing can be put at /s/x: /s is something else's"},
		{"ssh without key", func(j *runners.Job) { j.Source = runners.Source{URL: "ssh://git@h/x", Commit: commit} }, "no key is given"},
		{"ssh with one entry", func(j *runners.Job) {
			key := runners.Secret{Name: "k", Key: "id_rsa", From: runners.Keeper{Kubernetes: "ci/k"}}
			j.Source = runners.Source{URL: "ssh://git@h/x", Commit: commit, Key: &key}
		}, "ssh needs a key and known_hosts"},
		{"key elsewhere", func(j *runners.Job) {
			key := runners.Secret{Name: "k", From: runners.Keeper{Kubernetes: "prod/k"}}
			j.Source = runners.Source{URL: "ssh://git@h/x", Commit: commit, Key: &key}
		}, "secret k lies in namespace prod"},
		{"huge event", func(j *runners.Job) { j.Event = bytes.Repeat([]byte("a"), kube.MaxEvent+1) }, "the event takes 131073 bytes"},
		{"huge argument", func(j *runners.Job) { j.Command = append(j.Command, strings.Repeat("a", kube.MaxString)) }, "argument 4 of the command takes 131072 bytes"},
		{"huge value", func(j *runners.Job) { j.Env = map[string]string{"A": strings.Repeat("a", kube.MaxString-2)} }, "the value of A takes 131072 bytes"},
		{"huge job", func(j *runners.Job) {
			for range 9 {
				j.Command = append(j.Command, strings.Repeat("$", 100_000))
			}
		}, "the Job takes "},
		{"binary argument", func(j *runners.Job) { j.Command = append(j.Command, "\xff") }, "argument 4 of the command is not UTF-8 text"},
		{"binary file", func(j *runners.Job) { j.Files = map[string][]byte{"/x": {0xff}} }, "file /x is not UTF-8 text"},
		{"binary event", func(j *runners.Job) { j.Event = []byte{0xff} }, "the event is not UTF-8 text"},
		{"label", func(j *runners.Job) { j.Task = "-" }, `"-" cannot be a label`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg, job := config(), plain()
			cfg.Policy = rule
			test.change(&job)
			_, err := cfg.Manifest(job)
			if !errors.Is(err, runners.ErrRefused) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %v with %q", err, runners.ErrRefused, test.want)
			}
		})
	}
}

func secretJob(s runners.Secret) func(*runners.Job) {
	return func(j *runners.Job) { j.Secrets = []runners.Secret{s} }
}

// TestBound has the largest job that passes fit into what Kubernetes takes of annotations: 256 KiB.
func TestBound(t *testing.T) {
	t.Parallel()
	job := plain()
	job.Event = bytes.Repeat([]byte("a"), kube.MaxEvent)
	job.Files = map[string][]byte{"/f": bytes.Repeat([]byte("b"), runners.MaxFiles-2)}
	made, err := config().Manifest(job)
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for key, value := range made.Spec.Template.Annotations {
		size += len(key) + len(value)
	}
	if size > 256<<10 {
		t.Errorf("annotations: got %d bytes, want at most %d", size, 256<<10)
	}
}

// TestInstance has Jobs and tombstones of two Millraces in one namespace: each sweeps its own, and those of a version
// that did not say whose they are. What it joins does not hang on that.
func TestInstance(t *testing.T) {
	t.Parallel()
	ours, others := config(), config()
	others.Instance = "another"
	job, err := others.Manifest(plain())
	if err != nil {
		t.Fatal(err)
	}
	tombstone := others.Tombstone(plain().ID, time.Now())
	for what, made := range map[string]*batchv1.Job{"job": job, "tombstone": tombstone} {
		if ours.Mine(made) || !others.Mine(made) {
			t.Errorf("%s with labels %v: mine %v, its maker's %v: want false, true", what, made.Labels, ours.Mine(made), others.Mine(made))
		}
		delete(made.Labels, "millrace.dev/instance")
		if !ours.Mine(made) || !others.Mine(made) {
			t.Errorf("%s without the label: mine %v, its maker's %v: want true, true", what, ours.Mine(made), others.Mine(made))
		}
	}
}
