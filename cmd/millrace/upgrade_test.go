package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/internal/redistest"
)

var recordOf = flag.String("record", "", "path of a `millrace` of an earlier version: record what it leaves, see test/record.sh")

// recording is what a Millrace left when it was killed.
type recording struct {
	Version string     `json:"version"`
	At      time.Time  `json:"at"`
	Git     string     `json:"git"` // the repository, as git fast-export writes it
	Pushes  []pushed   `json:"pushes"`
	Redis   []redisKey `json:"redis"`
	Data    []dataFile `json:"data"` // the agent's data folder
}

// pushed is a push that was accepted.
type pushed struct {
	Story  string `json:"story"`
	Commit string `json:"commit"`
	Left   string `json:"left"` // state of its run, "" if there was none
}

type redisKey struct {
	Key  string        `json:"key"`
	TTL  time.Duration `json:"ttl"` // 0: it does not expire
	Dump []byte        `json:"dump"`
}

type dataFile struct {
	Path string `json:"path"`
	Data []byte `json:"data"`
}

const recordings = "testdata/upgrade"

// TestUpgrade starts this Millrace on what earlier ones left when they were killed: each run comes to its end, each
// delivery that nobody planned is planned, what had ended is not told again, and all can be read.
func TestUpgrade(t *testing.T) {
	if *recordOf != "" {
		t.Run("record", func(t *testing.T) { record(t, *recordOf) })
	}
	files, err := filepath.Glob(recordings + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var left recording
			if err := json.Unmarshal(data, &left); err != nil {
				t.Fatal(err)
			}
			upgrade(t, left)
		})
	}
}

func upgrade(t *testing.T, left recording) {
	t.Helper()
	s := left.restore(t)
	c := &crash{forge: s.forge, address: s.address, config: filepath.Join(s.dir, "millrace.yaml")}
	c.env = []string{clockVariable + "=" + left.At.Add(2*time.Minute).Format(time.RFC3339)} // no retry waits longer
	a := c.agent(t, "never")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	a.ready(ctx)

	want := map[string]string{}
	for _, p := range left.Pushes {
		want[p.Story] = stories[p.Story].want
	}
	var got map[string]string
	a.await(ctx, func() bool {
		got = s.states(t, left.Pushes)
		return cmp.Equal(want, got)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("runs (-want +got):\n%s\n%s", diff, a.log)
	}
	for _, p := range left.Pushes {
		s.checkTold(ctx, t, p)
	}
	s.checkDeliveries(t)
	s.checkRead(t, left.Pushes)
}

// states are the states of the pushes' runs.
func (s site) states(t *testing.T, pushes []pushed) map[string]string {
	t.Helper()
	all := map[string]string{}
	runs := s.runs(t)
	for _, p := range pushes {
		all[p.Story] = string(runs[p.Commit].State)
	}
	return all
}

// runs are all runs, by their commits.
func (s site) runs(t *testing.T) map[string]api.Run {
	t.Helper()
	var page api.Page[api.Run]
	if err := (&client{server: "http://" + s.address}).getJSON(t.Context(), "/api/v1/runs?limit=100", &page); err != nil {
		t.Fatal(err)
	}
	all := map[string]api.Run{}
	for _, r := range page.Items {
		all[r.Commit] = r
	}
	return all
}

// checkTold checks that the forge was told how the run of p ended, unless it had been told before.
func (s site) checkTold(ctx context.Context, t *testing.T, p pushed) {
	t.Helper()
	last := func() string {
		if told := s.forge.Statuses("mill", "flour", p.Commit); len(told) > 0 {
			return told[0].State
		}
		return ""
	}
	one := stories[p.Story]
	want := map[string]string{"succeeded": "success", "failed": "failure", "canceled": "error"}[one.want]
	if one.told {
		want = ""
	}
	if err := s.forge.Wait(ctx, func() bool { return last() == want }); err != nil {
		t.Errorf("%s: the forge was told %q last, want %q", p.Story, last(), want)
	}
}

// checkDeliveries checks that every delivery was planned.
func (s site) checkDeliveries(t *testing.T) {
	t.Helper()
	var page api.Page[api.Delivery]
	if err := (&client{server: "http://" + s.address}).getJSON(t.Context(), "/api/v1/deliveries?limit=100", &page); err != nil {
		t.Fatal(err)
	}
	for _, d := range page.Items {
		if d.State != "planned" && d.State != "ignored" {
			t.Errorf("delivery %s of %s is %s: %s", d.ID, d.Ref, d.State, d.Error)
		}
	}
}

// checkRead reads with the commands what people read of a run that had ended, and of one that ended after the upgrade.
func (s site) checkRead(t *testing.T, pushes []pushed) {
	t.Helper()
	runs := s.runs(t)
	for _, p := range pushes {
		r := runs[p.Commit]
		shown, log := s.run(t, "runs", r.ID), s.run(t, "logs", r.ID)
		if !strings.Contains(shown, "build") || !strings.Contains(shown, stories[p.Story].want) {
			t.Errorf("%s is shown as\n%s", p.Story, shown)
		}
		if want := stories[p.Story].says; want != "" && strings.Count(log, " "+want+"\n") != 1 {
			t.Errorf("%s: its log is to say %q once:\n%s", p.Story, want, log)
		}
		if p.Story == "ended" && r.Stages[0].Tasks[0].Outputs["GRIST"] != "fine" {
			t.Errorf("its outputs are %v", r.Stages[0].Tasks[0].Outputs)
		}
	}
}

// run runs a command that asks the daemon, and returns what it prints.
func (s site) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), millrace(t), append(args, "--server", "http://"+s.address)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// restore makes the world as the recording has it.
func (left recording) restore(t *testing.T) site {
	t.Helper()
	redis := redistest.Start(t)
	rdb := redis.Client()
	for _, k := range left.Redis {
		if err := rdb.Restore(t.Context(), k.Key, k.TTL, string(k.Dump)).Err(); err != nil {
			t.Fatalf("restore %s: %v", k.Key, err)
		}
	}
	s := newSite(t, fmt.Sprintf("redis: {url: %q}\n", redis.URL()))
	for _, f := range left.Data {
		s.write(t, filepath.Join("data", f.Path), string(f.Data))
	}
	if err := s.forge.CreateRepo("mill", "flour"); err != nil {
		t.Fatal(err)
	}
	git := exec.CommandContext(t.Context(), "git", "--git-dir="+s.forge.Dir("mill", "flour"), "fast-import", "--quiet")
	git.Stdin = strings.NewReader(left.Git)
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("git fast-import: %v\n%s", err, out)
	}
	return s
}
