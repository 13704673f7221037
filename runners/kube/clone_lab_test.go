//go:build lab

package kube_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/runnertest"
)

// secretOf makes a Secret in the lab and says where it is.
func secretOf(t *testing.T, lab *labtest.Lab, name string, data map[string][]byte) runners.Keeper {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
	if _, err := lab.Client.CoreV1().Secrets(lab.Namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return runners.Keeper{Kubernetes: lab.Namespace + "/" + name}
}

// dotenv makes a secret's file at this host.
func dotenv(t *testing.T, text string) runners.Keeper {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret.env")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return runners.Keeper{File: path}
}

// outcome runs a job to its end.
func outcome(t *testing.T, r runners.Runner, job runners.Job) (runners.Result, string) {
	t.Helper()
	uid, err := r.Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	var log runnertest.Log
	res, err := r.Wait(t.Context(), job.ID, uid, &log)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(log.Bytes())
}

// look is what a task can tell of its source and of itself.
const look = `git rev-parse HEAD; git status --short; ls; git cat-file -e HEAD; touch "$HOME/x" /workspace/x; id -u
	cat .git/config /proc/*/environ /proc/*/cmdline | tr '\0' '\n' | grep -c 's3cr3t-w[0]rd'; ls /clone 2>&1`

// TestClone brings a commit that is on no branch any more into a pod, in every way that there is.
func TestClone(t *testing.T) {
	t.Parallel()
	lab, f := labtest.Open(t), newForge(t)
	r := newProcess(t, lab, nil, nil)
	hosted := f.overSSH(f.gone)
	hosted.Key = &runners.Secret{Name: "key", From: secretOf(t, lab, "key", key(f))}
	kept := f.overSSH(f.gone)
	kept.Key = &runners.Secret{Name: "key", From: dotenv(t, "id_rsa='"+string(f.ssh.PrivateKey())+"'\nknown_hosts='"+string(f.ssh.KnownHosts())+"'\n")}
	for name, c := range map[string]struct {
		source runners.Source
		root   bool
	}{
		"http":                   {f.overHTTP(f.gone), false},
		"http for root":          {f.overHTTP(f.gone), true},
		"ssh, key in cluster":    {hosted, false},
		"ssh, key at this host":  {kept, false},
		"ssh, key, task is root": {hosted, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := shell(t, look)
			job.Image, job.Source, job.Pod.Root = labtest.Git, c.source, c.root
			res, log := outcome(t, r, job)
			user := "10001"
			if c.root {
				user = "0"
			}
			for _, want := range []string{" clone checking out " + f.gone, " task " + f.gone + "\n", " task gone\n", " task old\n", " task " + user + "\n", " task 0\n", "/clone: No such file"} {
				if !strings.Contains(log, want) {
					t.Errorf("log: want %q in it", want)
				}
			}
			if strings.Contains(log, " task head\n") || t.Failed() {
				t.Errorf("got %+v and log\n%s", res, log)
			}
		})
	}
}

// TestCloneFails has the pod tell why there is no source, in words that say what to do.
func TestCloneFails(t *testing.T) {
	t.Parallel()
	lab, f := labtest.Open(t), newForge(t)
	r := newProcess(t, lab, nil, nil)
	stranger := key(f)
	stranger["known_hosts"] = []byte("other.example.com " + strings.SplitN(string(f.ssh.KnownHosts()), " ", 2)[1])
	unknown := f.overSSH(f.head)
	unknown.Key = &runners.Secret{Name: "key", From: secretOf(t, lab, "stranger", stranger)}
	denied := f.overHTTP(f.head)
	denied.Password = "another-word"
	for name, c := range map[string]struct {
		source runners.Source
		words  string
	}{
		"no such commit": {f.overHTTP(strings.Repeat("0", 39) + "1"), "the server has no such commit any more, a forced push may have removed it: push again"},
		"wrong token":    {denied, "the server refuses the credential, or wants one: "},
		"unknown host":   {unknown, "the key of the server is not the one in known_hosts: put what ssh-keyscan says"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := shell(t, "echo never")
			job.Image, job.Source = labtest.Git, c.source
			res, log := outcome(t, r, job)
			if !strings.Contains(res.Reason, c.words) || !res.StartedAt.IsZero() || res.ExitCode != -1 || !strings.Contains(log, c.words) {
				t.Errorf("got %+v, want no start and a reason with %q; the log is\n%s", res, c.words, log)
			}
			if strings.Contains(res.Reason+log, "another-word") {
				t.Errorf("the token is told: %s %s", res.Reason, log)
			}
		})
	}
}

// TestGiven has a task look at all that a pod is given.
func TestGiven(t *testing.T) {
	t.Parallel()
	lab := labtest.Open(t)
	r := newProcess(t, lab, nil, nil)
	docker := secretOf(t, lab, "docker", map[string][]byte{".dockerconfigjson": []byte("config-of-docker"), "other": []byte("other-entry")})
	job := shell(t, `set -x; cat /d/config.json; ls -A /d; cat /one/renamed /files/of/the/task; echo "$FROM_CLUSTER $FROM_FILE"
		cat "$MILLRACE_EVENT"; touch /workspace/x "$HOME/x" "$MILLRACE_OUTPUT"; pwd; id; ls /var/run/secrets; echo "$1" "$EXPAND"`)
	job.Command = append(job.Command, "sh", "$(HOME) $$ ${HOME}")
	job.Env = map[string]string{"EXPAND": "$(HOME) $$"}
	job.Event = []byte(`{"ref":"zzz\";echo${IFS}\"hello\";#"}`)
	job.Files = map[string][]byte{"/files/of/the/task": []byte("$(HOME)\n")}
	job.Secrets = []runners.Secret{
		{Name: "docker", From: docker, Path: "/d", As: map[string]string{".dockerconfigjson": "config.json", "absent": "absent"}},
		{Name: "docker", From: docker, Key: "other", Path: "/one", As: map[string]string{"other": "renamed"}},
		{Name: "docker", From: docker, Key: "other", Env: "FROM_CLUSTER"},
		{Name: "file", From: dotenv(t, "A='value of the file'\n"), Key: "A", Env: "FROM_FILE"},
	}
	res, log := outcome(t, r, job)
	for _, want := range []string{
		"config-of-docker", " task .dockerconfigjson\n", "other-entry", "other-entry$(HOME)\n", "value of the file",
		string(job.Event) + "/workspace\n", "uid=10001", "No such file", " task $(HOME) $$ ${HOME} $(HOME) $$\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("log: want %q in it", want)
		}
	}
	if t.Failed() {
		t.Errorf("got %+v and log\n%s", res, log)
	}
}
