//go:build chaos

package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/test/forgekit"
	"github.com/millrace-ci/millrace/test/giteatest"
)

const agents = 3

// world is one forge, one Redis that keeps everything it acknowledges, a wire to it, and several agents behind one address.
type world struct {
	t      *testing.T
	ground ground
	forge  *giteatest.Server
	redis  *redistest.Server
	rdb    *redis.Client // past the wire
	held   bool          // Redis is
	wire   *wire
	agents []*agent
	ledger string // a line for each attempt that ran its command
	dir    string
	begin  time.Time

	mu   sync.Mutex
	said []string
}

// ground is where the tasks of a world run.
type ground struct {
	disturbance time.Duration            // how long a round is disturbed
	config      string                   // the lines that tell agents of it
	with        string                   // keys of each task's parameters
	mark        string                   // the command by which a task writes itself to the ledger
	faults      []fault                  // besides those of every world
	heal        func()                   // undoes what they may have left
	jobs        func() []string          // what is there of jobs that have not ended
	check       func(attempts []attempt) // looks at what jobs have left
}

// attempt is one that a run says it made.
type attempt struct {
	run, task string
	number    int
}

func (a attempt) String() string { return fmt.Sprintf("%s/%s/%d", a.run, a.task, a.number) }

// local is a world's own folder.
func local(w *world) ground {
	return ground{
		disturbance: 12 * time.Second,
		config:      "runners: [{name: local, kind: local, capacity: 4}]",
		mark:        `echo "$TASK_ID/$ATTEMPT" >> ` + w.ledger,
		heal:        func() {},
		jobs:        w.processes,
		check:       func([]attempt) {},
	}
}

func newWorld(t *testing.T, seed uint64, on func(*world) ground) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), begin: time.Now()}
	w.ledger = filepath.Join(w.dir, "ledger")
	w.ground = on(w)
	forge, err := giteatest.Start(giteatest.Config{Dir: filepath.Join(w.dir, "gitea"), Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { forge.Close() })
	w.forge = forge
	w.found()
	rng := rand.New(rand.NewPCG(seed, 3))
	host := address(rng)
	w.redis = redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--bind", host, "--port", "6379")
	w.rdb = w.redis.Client()
	w.wire = newWire(t, host)
	mixed := rng.IntN(3) == 0 && previous != "" // All but one begin as the previous version.
	for i := range agents {
		w.agents = append(w.agents, w.newAgent(i, address(rng)+":8080", mixed && i > 0))
	}
	for _, a := range w.agents {
		a.ready()
	}
	w.known()
	door := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			to, _ := url.Parse(w.agents[rand.N(len(w.agents))].url) // It is ours.
			r.SetURL(to)
		},
		ErrorHandler: func(res http.ResponseWriter, _ *http.Request, _ error) { res.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(door.Close)
	forge.AddHook(door.URL+"/hooks/gitea", hookSecret)
	return w
}

// address is one of the loopback's many, where every port is free.
func address(rng *rand.Rand) string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rng.IntN(250), rng.IntN(250), 1+rng.IntN(250))
}

const hookSecret, token = "s3cret", "t0ken"

// config is what an agent reads. The previous version knows no looks.
func (w *world) config(a *agent, present bool) string {
	poll := ""
	if present {
		poll = ", poll: 10s"
	}
	return fmt.Sprintf(`
server: {listen: %q, secret_file: %q}
redis: {url: %q}
data: %q
logs: {bucket: "file://%s"}
forges: [{name: gitea, kind: gitea, url: %q, token: %q, webhook_secrets: [%q], repositories: [%s/%s]%s}]
%s
`, strings.TrimPrefix(a.url, "http://"), w.secret(), w.wire.url, a.data, filepath.Join(w.dir, "logs"), w.forge.URL, token, hookSecret,
		owner, repository, poll, w.ground.config)
}

// found makes the repository, with a commit that asks for nothing.
func (w *world) found() {
	w.t.Helper()
	ctx, cancel := patiently()
	defer cancel()
	if err := w.forge.CreateRepo(owner, repository); err != nil {
		w.t.Fatal(err)
	}
	tree, err := forgekit.Clone(ctx, w.forge.CloneURL(owner, repository), "main")
	if err != nil {
		w.t.Fatal(err)
	}
	defer tree.Close()
	if _, err := tree.Commit(ctx, "Found the mill", map[string]string{"README": "flour"}); err != nil {
		w.t.Fatal(err)
	}
	if err := tree.Push(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// looked is in the numbers of an agent that has.
var looked = regexp.MustCompile(`millrace_looks_total\{outcome="seen"\} [1-9]`)

// known waits until an agent has looked at the repository: what is there before that was never ours to run.
func (w *world) known() {
	w.t.Helper()
	ctx, cancel := patiently()
	defer cancel()
	for {
		for _, a := range w.agents {
			if looked.MatchString(a.get(ctx, "/metrics")) {
				return
			}
		}
		if ctx.Err() != nil {
			w.t.Fatal("nobody has looked at the repository")
		}
		pass(50 * time.Millisecond)
	}
}

// secret is the file of the secret that all agents share.
func (w *world) secret() string {
	name := filepath.Join(w.dir, "secret")
	if err := os.WriteFile(name, []byte(strings.Repeat("chaos", 8)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return name
}

// note says what is done, for whoever has to find out what went wrong.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, fmt.Sprintf("%8.3fs  ", time.Since(w.begin).Seconds())+fmt.Sprintf(format, args...))
}

func (w *world) story() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.said, "\n")
}

// pass lets time pass: faults come and go when the seed says so.
func pass(d time.Duration) { <-time.After(max(d, 0)) }

// patiently is a context for what has to come to an end.
func patiently() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}
