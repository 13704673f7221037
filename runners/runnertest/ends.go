package runnertest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/runners"
)

func stop(t *testing.T, r runners.Runner, id string) {
	t.Helper()
	if err := r.Stop(within(t), id); err != nil {
		t.Fatalf("stop: %v", err)
	}
}

// stopEnds has somebody watch: what a stopped job said may be gone with it.
func stopEnds(t *testing.T, k Kit) {
	r, job := k.New(t), k.Job(t, "sh -c 'echo ready; exec sleep 600' & wait")
	uid := start(t, r, job)
	w := watch(t, r, job.ID, uid, "ready")
	stop(t, k.New(t), job.ID)
	<-w.done
	if w.err != nil {
		t.Fatalf("wait: %v", w.err)
	}
	wantClass(t, w.res, runners.Canceled)
	if w.res.Reason == "" || !strings.Contains(w.log.Text(t, task), "ready") {
		t.Errorf("got result %+v and log %q, want a reason and what was said before", w.res, w.log.Bytes())
	}
	res, _ := wait(t, k.New(t), job.ID, uid)
	wantClass(t, res, runners.Canceled)
}

func stopKills(t *testing.T, k Kit) {
	job := k.Job(t, "trap 'echo deaf' TERM; echo ready; while :; do sleep 600; done")
	job.Grace = time.Second
	r := k.New(t)
	uid := start(t, r, job)
	watch(t, r, job.ID, uid, "ready")
	stop(t, r, job.ID)
	res, _ := wait(t, r, job.ID, uid)
	wantClass(t, res, runners.Canceled)
}

func stopFirst(t *testing.T, k Kit) {
	script, times := once(k, "ran")
	r, job := k.New(t), k.Job(t, script)
	stop(t, r, job.ID)
	stop(t, r, job.ID)
	for range 2 {
		if uid, err := k.New(t).Start(within(t), job); !errors.Is(err, runners.ErrStopped) {
			t.Fatalf("start: got uid %q and error %v, want %v", uid, err, runners.ErrStopped)
		}
	}
	wantTimes(t, times, 0)
}

func stopEnded(t *testing.T, k Kit) {
	r, job := k.New(t), k.Job(t, "exit 5")
	uid := start(t, r, job)
	first, _ := wait(t, r, job.ID, uid)
	stop(t, r, job.ID)
	second, _ := wait(t, r, job.ID, uid)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("results differ (-before +after the stop):\n%s", diff)
	}
	if again := start(t, r, job); again != uid {
		t.Errorf("uid: got %q after the stop, want %q", again, uid)
	}
}

// startStopRace lets a stop meet a start at any moment of it. Either the start loses and the command never runs, or it
// wins and the job is there, and has ended once stop has returned.
func startStopRace(t *testing.T, k Kit) {
	for i := range 12 {
		script, times := once(k, fmt.Sprint("ran", i))
		job := k.Job(t, script+"; sleep 600")
		starter, stopper := k.New(t), k.New(t)
		var uid string
		var err error
		var group sync.WaitGroup
		group.Go(func() { uid, err = starter.Start(within(t), job) })
		group.Go(func() {
			<-time.After(time.Duration(i) * 2 * time.Millisecond) // Any moment will do.
			if err := stopper.Stop(within(t), job.ID); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
		group.Wait()
		if errors.Is(err, runners.ErrStopped) {
			wantTimes(t, times, 0)
			continue
		}
		if err != nil {
			t.Fatalf("start: %v", err)
		}
		res, _ := wait(t, starter, job.ID, uid)
		wantClass(t, res, runners.Canceled)
	}
}

func timesOut(t *testing.T, k Kit) {
	job := k.Job(t, "echo ready; sleep 600")
	job.Timeout = 2 * time.Second
	res, _ := do(t, k, job)
	wantClass(t, res, runners.Timeout)
	if !strings.Contains(res.Reason, "2s") || res.EndedAt.Sub(res.StartedAt) < time.Second {
		t.Errorf("got %+v, want a reason that names 2s, and that it had them", res)
	}
}

func outputsBack(t *testing.T, k Kit) {
	res, _ := do(t, k, k.Job(t, `
		{ echo 'IMAGE=registry.example.com/a@sha256:1'; echo "notes='two"; echo "lines'"; } >> "$MILLRACE_OUTPUT"
		test "$MILLRACE_OUTPUT_LIMIT" -ge 1024 && echo '# Fine' > "$MILLRACE_SUMMARY"`))
	wantClass(t, res, runners.Succeeded)
	want := map[string]string{"IMAGE": "registry.example.com/a@sha256:1", "notes": "two\nlines"}
	if diff := cmp.Diff(want, res.Outputs); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	if res.Summary != "# Fine\n" {
		t.Errorf("summary: got %q, want %q", res.Summary, "# Fine\n")
	}
}

func outputsBad(t *testing.T, k Kit) {
	res, _ := do(t, k, k.Job(t, `printf 'A=1\nthis is not it\n' > "$MILLRACE_OUTPUT"`))
	wantClass(t, res, runners.Failure)
	if res.ExitCode != 0 || !strings.Contains(res.Reason, "line 2") {
		t.Errorf("got %+v, want exit code 0 and a reason that names line 2", res)
	}
	res, _ = do(t, k, k.Job(t, `head -c $((MILLRACE_OUTPUT_LIMIT + 1)) /dev/zero | tr '\0' '#' > "$MILLRACE_OUTPUT"`))
	wantClass(t, res, runners.Failure)
}

func eventFile(t *testing.T, k Kit) {
	job := k.Job(t, `cat "$MILLRACE_EVENT"`)
	job.Event = []byte(`{"ref":"refs/heads/zzz\";echo${IFS}\"hello\";#"}`)
	res, log := do(t, k, job)
	wantClass(t, res, runners.Succeeded)
	if got, want := log.Text(t, task), string(job.Event)+"\n"; !strings.HasSuffix(got, want) {
		t.Errorf("event: got %q, want it to end with %q", got, want)
	}
}

func envData(t *testing.T, k Kit) {
	values := map[string]string{
		"GIT_BRANCH":    `zzz";echo${IFS}"hello";#`,
		"GIT_COMMIT_ID": "$(touch /tmp/never) `id` $HOME ${PATH} $(VAR)",
		"LINES":         "one\ntwo\n\ttabs and \\n and \\\n",
		"QUOTES":        `'"'"' "`,
		"EMPTY":         "",
		"UNICODE":       "发布 \u2028 é",
	}
	var script strings.Builder
	for name := range values {
		fmt.Fprintf(&script, "printf %%s \"$%s\" | od -An -v -tx1 | tr -d ' \\n' | sed 's/^/%s=/' ; echo\n", name, name)
	}
	job := k.Job(t, script.String())
	job.Env = maps.Clone(values)
	res, log := do(t, k, job)
	wantClass(t, res, runners.Succeeded)
	for name, value := range values {
		if want := fmt.Sprintf("%s=%x\n", name, value); value != "" && !strings.Contains(log.Text(t, task), want) {
			t.Errorf("environment: %s did not arrive as %q; the log is %s", name, value, log.Bytes())
		}
	}
}

// secretHidden has a task print a secret wherever it can. What the log was told to hide in time must suffice to
// hide it, also for one who joins.
func secretHidden(t *testing.T, k Kit) {
	const value, shifted = "s3cr3t of the operator", "t3ds3u pg uif pqfsbups"
	job := k.Job(t, `printf %s "$TOKEN" | tr a-z b-za; echo; echo "plain $TOKEN"; printf %s "$TOKEN" | base64
		echo "TOKEN='$TOKEN'" > "$MILLRACE_OUTPUT"; echo "summary $TOKEN" > "$MILLRACE_SUMMARY"`)
	secret := k.Secret(t, value)
	secret.Env = "TOKEN"
	job.Secrets = []runners.Secret{secret}
	uid := start(t, k.New(t), job)
	for _, who := range []string{"the first watcher", "one who joins"} {
		res, log := wait(t, k.New(t), job.ID, uid)
		wantClass(t, res, runners.Succeeded)
		if got := log.Text(t, task); !strings.Contains(got, shifted) {
			t.Errorf("%s: the secret did not arrive: got %q, want it shifted by a letter: %q", who, got, shifted)
		}
		hider := log.hider(t)
		for _, shown := range []string{string(log.Bytes()), res.Outputs["TOKEN"], res.Summary, res.Reason} {
			shown = hider.Text(shown)
			if strings.Contains(shown, value) || strings.Contains(shown, base64.StdEncoding.EncodeToString([]byte(value))) {
				t.Errorf("%s: the secret is shown: %q", who, shown)
			}
		}
		if got := hider.Text(log.Text(t, task)); !strings.Contains(got, "plain ***\n***") {
			t.Errorf("%s: got %q, want *** where the secret was", who, got)
		}
	}
}

func envRefused(t *testing.T, k Kit) {
	for _, name := range []string{"PATH", "LD_PRELOAD", "BASH_ENV", "ENV", "IFS", "GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "A B", "A=B", ""} {
		job := k.Job(t, "true")
		job.Env = map[string]string{name: "/tmp/x"}
		if uid, err := k.New(t).Start(within(t), job); !errors.Is(err, runners.ErrRefused) || name != "" && !strings.Contains(err.Error(), name) {
			t.Errorf("start with %q: got uid %q and error %v, want %v that names it", name, uid, err, runners.ErrRefused)
		}
	}
}

func unsoundRefused(t *testing.T, k Kit) {
	commit := strings.Repeat("a", 40)
	for what, change := range map[string]func(*runners.Job){
		"id with dots":     func(j *runners.Job) { j.ID = "../x" },
		"long id":          func(j *runners.Job) { j.ID = strings.Repeat("a", 64) },
		"no command":       func(j *runners.Job) { j.Command = nil },
		"huge command":     func(j *runners.Job) { j.Command = append(j.Command, strings.Repeat("a", 2<<20)) },
		"image as option":  func(j *runners.Job) { j.Image = "--privileged" },
		"file URL":         func(j *runners.Job) { j.Source = runners.Source{URL: "file:///etc", Commit: commit} },
		"ext URL":          func(j *runners.Job) { j.Source = runners.Source{URL: "ext::sh -c id", Commit: commit} },
		"URL as option":    func(j *runners.Job) { j.Source = runners.Source{URL: "--upload-pack=id", Commit: commit} },
		"host as option":   func(j *runners.Job) { j.Source = runners.Source{URL: "ssh://-oProxyCommand=id/x", Commit: commit} },
		"password in URL":  func(j *runners.Job) { j.Source = runners.Source{URL: "http://u:secret-word@h/x", Commit: commit} },
		"commit as option": func(j *runners.Job) { j.Source = runners.Source{URL: "http://h/x", Commit: "--all"} },
		"ref as option":    func(j *runners.Job) { j.Source = runners.Source{URL: "http://h/x", Commit: commit, Ref: "--all"} },
		"ref with dots": func(j *runners.Job) {
			j.Source = runners.Source{URL: "http://h/x", Commit: commit, Ref: "refs/heads/../../x"}
		},
	} {
		job := k.Job(t, "true")
		change(&job)
		_, err := k.New(t).Start(within(t), job)
		if !errors.Is(err, runners.ErrRefused) || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("start with %s: got error %v, want %v without the password", what, err, runners.ErrRefused)
		}
	}
}
