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

// world is one forge, one Redis that keeps everything it acknowledges, and several agents behind one address.
type world struct {
	t      *testing.T
	forge  *giteatest.Server
	redis  *redistest.Server
	rdb    *redis.Client
	agents []*agent
	ledger string // a line for each attempt that ran its command
	dir    string
	begin  time.Time

	mu   sync.Mutex
	said []string
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), begin: time.Now()}
	w.ledger = filepath.Join(w.dir, "ledger")
	forge, err := giteatest.Start(giteatest.Config{Dir: filepath.Join(w.dir, "gitea"), Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { forge.Close() })
	w.forge = forge
	w.found()
	w.redis = redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
	w.rdb = w.redis.Client()
	rng := rand.New(rand.NewPCG(seed, 3))
	for i := range agents {
		w.agents = append(w.agents, w.newAgent(i, rng))
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

const hookSecret, token = "s3cret", "t0ken"

// config is what an agent reads.
func (w *world) config(dir, address string) string {
	return fmt.Sprintf(`
server: {listen: %q, secret_file: %q}
redis: {url: %q}
data: %q
logs: {bucket: "file://%s"}
forges: [{name: gitea, kind: gitea, url: %q, token: %q, webhook_secrets: [%q], repositories: [%s/%s], poll: 10s}]
runners: [{name: local, kind: local, capacity: 4}]
`, address, w.secret(), w.redis.URL(), dir, filepath.Join(w.dir, "logs"), w.forge.URL, token, hookSecret, owner, repository)
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
