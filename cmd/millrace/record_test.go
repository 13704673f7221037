package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/test/forgekit"
)

// story is a push whose run one Millrace begins and the next one ends.
type story struct {
	branch string // "": the story's name
	script string // of its task; WAIT stands for waiting until somebody lets it go
	more   string // of that task
	after  string // script of a second task
	left   string // state of its run when the earlier Millrace is killed, "" if it has none yet
	told   bool   // the forge knows by then how it ended
	want   string // state in which it ends
	says   string // a line that is in its logs once
}

// stories, by their names. recorder.play has them in an order in which each finds a slot of the runner, or finds none.
var stories = map[string]story{
	"ended":  {script: `echo GRIST=fine >> "$MILLRACE_OUTPUT"; echo ground`, left: "succeeded", told: true, want: "succeeded", says: "ground"},
	"failed": {script: "echo no grain; exit 3", left: "failed", told: true, want: "failed", says: "no grain"},
	"untold": {script: "echo ground", left: "succeeded", want: "succeeded", says: "ground"},
	// Their jobs run when the earlier Millrace is killed. That of the first ends before the next one comes; those of the
	// others do not live any more by then, and have left nothing.
	"joined":       {script: "echo begun; WAIT", after: "echo packed", left: "running", want: "succeeded", says: "packed"},
	"lost":         {script: "echo begun; WAIT", left: "running", want: "failed", says: "begun"},
	"lost-retried": {script: `test "$ATTEMPT" = 2 || { WAIT; }; echo twice`, more: ", retry: {max: 1, on: [lost], backoff: 1s}", left: "running", want: "succeeded", says: "twice"},
	"canceled":     {script: `trap "" TERM; WAIT`, left: "canceling", want: "canceled"},
	// They wait: for the time of their next attempt, for the run before them in their lane, for a slot.
	"retried": {script: `echo "attempt $ATTEMPT"; test "$ATTEMPT" = 2`, more: ", retry: {max: 1, backoff: 1m}", left: "running", want: "succeeded", says: "attempt 2"},
	"behind":  {branch: "joined", script: "echo next", left: "waiting", want: "succeeded", says: "next"},
	"queued":  {script: "echo ground", left: "waiting", want: "succeeded", says: "ground"},
	// Their deliveries were accepted and nothing else, the second by the spool.
	"unplanned": {script: "echo ground", want: "succeeded", says: "ground"},
	"spooled":   {script: "echo ground", want: "succeeded", says: "ground"},
}

// recorder plays the stories with a Millrace of an earlier version.
type recorder struct {
	site
	t      *testing.T
	redis  *redistest.Server
	pushes []pushed
}

// record has the program binary play all stories, and keeps what it left in recordings, under its version.
func record(t *testing.T, binary string) {
	t.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
	version, err := exec.CommandContext(t.Context(), millrace(t), "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{t: t, redis: redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")}
	r.site = newSite(t, r.settings("local"))
	t.Cleanup(r.letGo)
	r.play()
	left := recording{
		Version: strings.Fields(string(version))[1], At: time.Now().UTC().Truncate(time.Second),
		Git: r.repository(), Pushes: r.pushes, Redis: r.keys(), Data: r.files(),
	}
	data, err := json.MarshalIndent(left, "", " ")
	if err == nil {
		err = os.WriteFile(filepath.Join(recordings, left.Version+".json"), append(data, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (r *recorder) settings(runner string) string {
	return fmt.Sprintf("redis: {url: %q}\nrunners: [{name: %s, kind: local, capacity: 4}]\n", r.redis.URL(), runner)
}

// play leaves each story where it says.
func (r *recorder) play() {
	if err := r.forge.CreateRepo("mill", "flour"); err != nil {
		r.t.Fatal(err)
	}
	r.forge.AddHook("http://"+r.address+"/hooks/gitea", crashSecret)
	p := r.serve(r.t)
	for _, name := range []string{"ended", "failed", "joined", "lost", "lost-retried"} {
		commit := r.push(name)
		p.await(r.t, name, func() bool { return r.reached(name, commit) && r.told(name, commit) })
	}
	r.forge.Fail(1000, http.StatusServiceUnavailable, 0)
	for _, name := range []string{"untold", "retried"} {
		commit := r.push(name)
		p.await(r.t, name, func() bool { return r.reached(name, commit) })
	}
	canceled := r.push("canceled")
	p.await(r.t, "a job", func() bool { return r.has("canceled.begun") })
	for _, name := range []string{"behind", "queued"} {
		commit := r.push(name)
		p.await(r.t, name, func() bool { return r.reached(name, commit) })
	}
	cancel := "/api/v1/runs/" + r.runs(r.t)[canceled].ID + "/cancel"
	if err := (&client{server: "http://" + r.address}).send(r.t.Context(), http.MethodPost, cancel); err != nil {
		r.t.Fatal(err)
	}
	p.await(r.t, "canceling", func() bool { return r.reached("canceled", canceled) })
	for i, one := range r.pushes {
		r.pushes[i].Left = string(r.runs(r.t)[one.Commit].State)
	}
	p.end(r.t, syscall.SIGKILL)
	r.playUnplanned()
	r.write(r.t, "joined.go", "")
	p.await(r.t, "the end of a job", func() bool { return r.allEnded("joined.go") })
}

// playUnplanned has deliveries accepted by a Millrace that cannot reach the forge, and has nothing to do with the runner
// of before: one before and one after its Redis is gone.
func (r *recorder) playUnplanned() {
	r.configure(r.t, "http://127.0.0.1:1", r.settings("other"))
	p := r.serve(r.t)
	r.push("unplanned")
	r.redis.Kill()
	r.push("spooled")
	p.end(r.t, syscall.SIGKILL)
	r.redis.Restart()
}

// push pushes the commit of a story, and notes it if its delivery is accepted.
func (r *recorder) push(name string) (commit string) {
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	branch := cmp.Or(stories[name].branch, name)
	w, err := forgekit.Clone(ctx, r.forge.CloneURL("mill", "flour"), branch)
	if err != nil {
		r.t.Fatal(err)
	}
	defer w.Close()
	if branch != name {
		err = w.Git(ctx, "checkout", "-q", "-B", branch, "origin/"+branch)
	}
	if err == nil {
		commit, err = w.Commit(ctx, "Play "+name, map[string]string{".millrace.yaml": r.definition(name)})
	}
	if err == nil {
		err = w.Push(ctx)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	sent := -1
	if err := r.forge.Wait(ctx, func() bool {
		sent = slices.IndexFunc(r.forge.Deliveries(), func(d forgekit.Delivery) bool {
			return d.Event == "push" && bytes.Contains(d.Body, []byte(`"after": "`+commit))
		})
		return sent >= 0
	}); err != nil {
		r.t.Fatal(err)
	}
	if answer := r.forge.Deliveries()[sent]; answer.Status == http.StatusAccepted {
		r.pushes = append(r.pushes, pushed{Story: name, Commit: commit})
	} else {
		r.t.Logf("%s was answered %d: left out", name, answer.Status) // There was a time before the spool.
	}
	return commit
}

// definition is the pipeline of a story.
func (r *recorder) definition(name string) string {
	one := stories[name]
	wait := fmt.Sprintf("touch %[1]s/%[2]s.begun; until test -e %[1]s/%[2]s.go -o -e %[1]s/all.go; do sleep 0.1; done", r.dir, name)
	text := fmt.Sprintf("name: build\non: push\nstages:\n- name: s\n  tasks:\n  - {name: t, uses: script@v1, with: {SCRIPT: %q}%s}\n",
		strings.ReplaceAll(one.script, "WAIT", wait), one.more)
	if one.after != "" {
		text += fmt.Sprintf("  - {name: after, uses: script@v1, with: {SCRIPT: %q}}\n", one.after)
	}
	return text
}

// reached tells whether the run of a story is where it is to be left.
func (r *recorder) reached(name, commit string) bool {
	one, at := stories[name], r.runs(r.t)[commit]
	switch {
	case string(at.State) != one.left:
		return false
	case strings.Contains(one.script, "WAIT"):
		return r.has(name + ".begun")
	case name == "retried":
		return at.Stages[0].Tasks[0].DueAt != nil
	}
	return true
}

// told tells whether the forge knows the run of a story, or its end where it is to know that.
func (r *recorder) told(name, commit string) bool {
	told := r.forge.Statuses("mill", "flour", commit)
	return len(told) > 0 && (told[0].State != "pending" || !stories[name].told)
}

func (r *recorder) has(name string) bool {
	_, err := os.Stat(filepath.Join(r.dir, name))
	return err == nil
}

// allEnded tells whether all jobs have ended whose script has text in it.
func (r *recorder) allEnded(text string) bool {
	orders, err := filepath.Glob(filepath.Join(r.dir, "data", "jobs", "*", "*", "job.json"))
	if err != nil || len(orders) == 0 {
		r.t.Fatalf("no jobs in %s: %v", r.dir, err)
	}
	for _, file := range orders {
		data, err := os.ReadFile(file)
		if err != nil {
			r.t.Fatal(err)
		}
		_, err = os.Stat(filepath.Join(filepath.Dir(file), "exit.json"))
		if err != nil && bytes.Contains(data, []byte(text)) {
			return false
		}
	}
	return true
}

// letGo ends all jobs and waits for that.
func (r *recorder) letGo() {
	r.write(r.t, "all.go", "")
	for end := time.Now().Add(time.Minute); !r.allEnded(""); <-time.After(50 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatal("jobs do not end")
		}
	}
}

// repository is the repository as git fast-export writes it: it has the same commits wherever that is read.
func (r *recorder) repository() string {
	out, err := exec.CommandContext(r.t.Context(), "git", "--git-dir="+r.forge.Dir("mill", "flour"), "fast-export", "--all").Output()
	if err != nil {
		r.t.Fatal(err)
	}
	return string(out)
}

// keys are all that Redis has.
func (r *recorder) keys() (all []redisKey) {
	rdb, ctx := r.redis.Client(), r.t.Context()
	names, err := rdb.Keys(ctx, "*").Result()
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		dump, err1 := rdb.Dump(ctx, name).Result()
		ttl, err2 := rdb.PTTL(ctx, name).Result()
		if err1 != nil || err2 != nil {
			r.t.Fatal(name, err1, err2)
		}
		all = append(all, redisKey{Key: name, TTL: max(ttl, 0), Dump: []byte(dump)})
	}
	return all
}

// files are the data folder's, but for what jobs had checked out.
func (r *recorder) files() (all []dataFile) {
	root := os.DirFS(filepath.Join(r.dir, "data"))
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "workspace" || d.Name() == "home"):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		data, err := fs.ReadFile(root, path)
		all = append(all, dataFile{Path: path, Data: data})
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}
