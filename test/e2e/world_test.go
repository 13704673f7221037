//go:build lab

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/api"
	"github.com/millrace-ci/millrace/internal/labtest"
	"github.com/millrace-ci/millrace/internal/redistest"
)

// hub is a host that nobody reaches: what its images are named stands in the lab's registry.
const hub = "hub.example.com"

// imagesOfLab is the part of millrace.yaml by which nothing is pulled from anywhere but the lab.
const imagesOfLab = `
images:
  git: ` + labtest.Git + `
  kaniko: ` + hub + `/kaniko-executor:v1.24.0
  kubectl: ` + hub + `/kubectl:1.34
  mirrors: {` + hub + `: "` + labtest.Registry + `", docker.io: "` + labtest.Registry + `"}
registries: [{host: "` + labtest.Registry + `", insecure: true}]
`

// world is what outlives a daemon: a forge, a Redis, the lab, a folder with millrace.yaml and data.
type world struct {
	t            testing.TB
	lab          *labtest.Lab
	forge        *forge
	redis        *redistest.Server
	dir, address string
	taken        map[string]bool // deliveries that were sent again, by their ids
	began, last  time.Time
}

// newWorld makes one.
func newWorld(t testing.TB, f *forge) *world {
	t.Helper()
	w := &world{
		t: t, lab: labtest.Open(t), forge: f, dir: t.TempDir(), began: time.Now(), last: time.Now(), taken: map[string]bool{},
		redis: redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always"),
		// A port that is free now may be taken while no daemon is there; of the loopback's addresses there are many.
		address: fmt.Sprintf("127.%d.%d.%d:8080", 1+rand.N(250), rand.N(250), 1+rand.N(250)),
	}
	ssh := ""
	if f.ssh != nil {
		ssh = fmt.Sprintf("ssh_url: %q, ", f.sshURL())
	}
	w.configure(`server: {listen: %q}
redis: {url: %q}
forges: [{name: %s, kind: %s, url: %q, token: %q, %swebhook_secrets: [%q]}]
runners:
  - {name: lab, kind: kube, capacity: 30, kubeconfig: %q, namespace: %s, policy: {service_accounts: [millrace-deploy], node_selector: {kubernetes.io/hostname: localhost}}}
`+imagesOfLab, w.address, w.redis.URL(), f.kind, f.kind, f.url, token, ssh, secret, w.lab.Kubeconfig, w.lab.Namespace)
	f.hook(w.address)
	return w
}

// configure adds lines to millrace.yaml.
func (w *world) configure(format string, args ...any) {
	w.t.Helper()
	file, err := os.OpenFile(filepath.Join(w.dir, "millrace.yaml"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, format+"\n", args...); err != nil {
		w.t.Fatal(err)
	}
}

// serve starts a daemon and waits until it is ready.
func (w *world) serve() *daemon {
	w.t.Helper()
	d := serve(w.t, w.dir)
	poll(w.t, time.Minute, "millrace is ready", func() bool {
		select {
		case <-d.ended:
			w.t.Fatal("millrace ended at its start")
		default:
		}
		return w.answers("/readyz")
	})
	return d
}

// step says how long what was done since the last step took.
func (w *world) step(format string, args ...any) {
	w.t.Helper()
	now := time.Now()
	w.t.Logf("%6.1f s  +%5.1f s  %s", now.Sub(w.began).Seconds(), now.Sub(w.last).Seconds(), fmt.Sprintf(format, args...))
	w.last = now
}

// text asks the daemon's API for a text; the answer must be 200.
func (w *world) text(path string) string {
	w.t.Helper()
	res, err := http.Get("http://" + w.address + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("GET %s: %s, %v: %s", path, res.Status, err, body)
	}
	return string(body)
}

// answers tells whether the daemon answers 200.
func (w *world) answers(path string) bool {
	res, err := http.Get("http://" + w.address + path)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// runs are those of a commit, or all if commit is "".
func (w *world) runs(commit string) []api.Run {
	w.t.Helper()
	var all []api.Run
	for cursor := ""; ; {
		var page api.Page[api.Run]
		if err := json.Unmarshal([]byte(w.text("/api/v1/runs?limit=100&commit="+commit+"&cursor="+cursor)), &page); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// run is the only run of a commit.
func (w *world) run(commit string) api.Run {
	w.t.Helper()
	all := w.runs(commit)
	if len(all) != 1 {
		w.t.Fatalf("commit %s has %d runs, want one: %+v", commit, len(all), all)
	}
	return all[0]
}

// task finds a task of a run.
func task(t testing.TB, r api.Run, name string) api.Task {
	t.Helper()
	for _, s := range r.Stages {
		for _, one := range s.Tasks {
			if one.Name == name {
				return one
			}
		}
	}
	t.Fatalf("run %s has no task %s", r.ID, name)
	return api.Task{}
}

// kept is what is kept of a task's last attempt: its log, manifest or events.
func (w *world) kept(r api.Run, task, kind string) string {
	w.t.Helper()
	return w.text("/api/v1/runs/" + r.ID + "/tasks/" + task + "/" + kind)
}
