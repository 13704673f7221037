package kube_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/millrace-ci/millrace/runners"
)

// keptText is a secret kept at this host, as readText finds it: its dotenv text stands where the file's path would.
func keptText(text string) runners.Keeper { return runners.Keeper{File: text} }

func readText(k runners.Keeper) (map[string][]byte, error) {
	if k.File == "" {
		return nil, errors.New("disk on fire")
	}
	values, err := runners.ParseOutputs([]byte(k.File))
	kept := map[string][]byte{}
	for name, value := range values {
		kept[name] = []byte(value)
	}
	return kept, err
}

// TestAttemptSecret checks that the Secret holds what the manifest refers to, and nothing else.
func TestAttemptSecret(t *testing.T) {
	t.Parallel()
	cfg, job := config(), cloned("https://git.example.com/shop/api.git")
	cfg.Read = readText
	job.Source.Username, job.Source.Password = "oauth2", "hush-hush-token"
	job.Secrets = []runners.Secret{
		{Name: "token", From: keptText("TOKEN=value of TOKEN\nOTHER=not this one"), Key: "TOKEN", Env: "API_TOKEN"},
		{Name: "cluster", From: runners.Keeper{Kubernetes: "ci/tokens"}, Key: "github-token", Env: "GITHUB_TOKEN"},
		{Name: "rc", From: keptText("NPM_RC='two\nlines'"), Key: "NPM_RC", Path: "/npm"},
	}
	got, err := cfg.AttemptSecret(job)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"source.password": []byte("hush-hush-token"), "0.TOKEN": []byte("value of TOKEN"), "2.NPM_RC": []byte("two\nlines")}
	if diff := cmp.Diff(want, got.Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	made, err := cfg.Manifest(job)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != job.ID || got.Namespace != "ci" || !maps.Equal(got.Labels, made.Labels) || !*got.Immutable {
		t.Errorf("got %+v, want the job's name and labels", got.ObjectMeta)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), needed(made.Spec.Template.Spec, job.ID)); diff != "" {
		t.Errorf("keys that the pod waits for (-in the Secret +in the manifest):\n%s", diff)
	}
	text, err := cfg.Render(job)
	if err != nil || !strings.HasPrefix(string(text), "# Beside it a Secret "+job.ID+" is made. Its values are not shown: source.password, 0.TOKEN, 2.NPM_RC\n") {
		t.Errorf("got %v and %.200s, want it to name the Secret", err, text)
	}
	for _, value := range want {
		if strings.Contains(string(text), string(value)) {
			t.Errorf("the manifest shows %q", value)
		}
	}
}

// needed are the keys of a Secret without which the pod does not start.
func needed(spec corev1.PodSpec, name string) []string {
	var keys []string
	for _, v := range spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if s := source.Secret; s != nil && s.Name == name && s.Optional == nil {
				keys = append(keys, s.Items[0].Key)
			}
		}
	}
	for _, env := range spec.Containers[0].Env {
		if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef.Name == name {
			keys = append(keys, env.ValueFrom.SecretKeyRef.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

// TestAttemptSecretKey has a key for ssh under either of its names.
func TestAttemptSecretKey(t *testing.T) {
	t.Parallel()
	cfg, job := cloneSSHFile()
	cfg.Read = readText
	job.Source.Key.From = keptText("id_rsa=the key\nknown_hosts=the hosts\n")
	got, err := cfg.AttemptSecret(job)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"source.key": []byte("the key"), "source.known_hosts": []byte("the hosts")}
	if diff := cmp.Diff(want, got.Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

func TestNoAttemptSecret(t *testing.T) {
	t.Parallel()
	_, ssh := cloneSSH()
	for _, job := range []runners.Job{plain(), cloned("https://git.example.com/public.git"), ssh} {
		if got, err := config().AttemptSecret(job); got != nil || err != nil {
			t.Errorf("got %v and error %v, want none: a Secret is one more write", got, err)
		}
	}
}

func TestAttemptSecretRefused(t *testing.T) {
	t.Parallel()
	keySecret := func(text string) func(*runners.Job) {
		return func(j *runners.Job) {
			j.Source = runners.Source{URL: "ssh://git@h/x", Commit: commit, Key: &runners.Secret{Name: "s", From: keptText(text)}}
		}
	}
	var lines strings.Builder
	for i := 0; lines.Len() < 250<<10; i++ {
		fmt.Fprintf(&lines, "é<>&'+%dé<>&'+\n", i)
	}
	for name, c := range map[string]struct {
		change func(*runners.Job)
		want   string
	}{
		"no entry":                           {secretJob(runners.Secret{Name: "s", From: keptText("B=long enough"), Key: "A", Env: "A"}), "secret s: refused by the runner: it has no entry A"},
		"no key":                             {keySecret("known_hosts=the hosts"), "it has no entry ssh-privatekey or id_rsa"},
		"no hosts":                           {keySecret("id_rsa=the key"), "it has no entry known_hosts"},
		"short":                              {secretJob(runners.Secret{Name: "s", From: keptText("A=abc"), Key: "A", Env: "A"}), "its entry A is shorter than 4 bytes"},
		"more than we can hide":              {secretJob(runners.Secret{Name: "s", From: keptText("A=" + strings.Repeat("a", 300<<10)), Key: "A", Env: "A"}), "too large to be hidden"},
		"more than we can hide in all forms": {secretJob(runners.Secret{Name: "s", From: keptText("A=\"" + lines.String() + "\""), Key: "A", Env: "A"}), "too large to be hidden"},
	} {
		cfg, job := config(), plain()
		cfg.Read = readText
		c.change(&job)
		if _, err := cfg.AttemptSecret(job); !errors.Is(err, runners.ErrRefused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %v with %q", name, err, runners.ErrRefused, c.want)
		}
	}
	blind, job := config(), plain()
	secretJob(runners.Secret{Name: "s", From: keptText("A=long enough"), Key: "A", Env: "A"})(&job)
	if _, err := blind.AttemptSecret(job); !errors.Is(err, runners.ErrRefused) {
		t.Errorf("without Read: got error %v, want %v", err, runners.ErrRefused)
	}
	job.Secrets[0].From = runners.Keeper{Env: []string{"A"}}
	blind.Read = readText
	if _, err := blind.AttemptSecret(job); err == nil || errors.Is(err, runners.ErrRefused) || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("got error %v, want the disk's: it may be read the next time", err)
	}
}
