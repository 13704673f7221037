//go:build lab

package e2e_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/millrace-ci/millrace/test/forgekit"
	"github.com/millrace-ci/millrace/test/giteatest"
)

// every is the time between two pushes: 20 a second.
const every = 50 * time.Millisecond

// BenchmarkPushToJob measures what lies between a webhook and the Job that comes of it, at 20 pushes a second: from
// before the delivery is sent until the Job's create arrives at the API server. cached: the commit's definitions are
// known. fetch: each delivery names a commit that nobody has seen. raw: the parts of it, each by itself.
//
//	go test -tags lab -run '^$' -bench PushToJob -benchtime 200x -count 5 ./test/e2e
func BenchmarkPushToJob(b *testing.B) {
	b.Run("cached", func(b *testing.B) { newPushes(b).measure(b, false) })
	b.Run("fetch", func(b *testing.B) { newPushes(b).measure(b, true) })
	b.Run("raw", rawParts)
}

// pushed is a world whose way to the API server notes when which Job's create comes by.
type pushed struct {
	*world
	gitea    *giteatest.Server
	delivery forgekit.Delivery // one that a real push caused

	mu   sync.Mutex
	any  bool              // a Job has come by
	seen map[int]time.Time // when the Job of a delivery did
	bell forgekit.Bell
}

// numbered is a branch whose name tells which delivery a Job comes of, in whatever encoding.
func numbered(n int) string { return fmt.Sprintf("push-%06d-end", n) }

var number = regexp.MustCompile(`push-(\d{6})-end`)

const oneTask = "name: build\non: push\nstages: [{name: s, tasks: [{name: t, uses: script@v1, with: {IMAGE: busybox, SCRIPT: 'true'}}]}]\n"

func newPushes(b *testing.B) *pushed {
	b.Helper()
	gitea, err := giteatest.Start(giteatest.Config{Dir: filepath.Join(b.TempDir(), "gitea"), Token: token})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { gitea.Close() })
	f := &forge{kind: "gitea", url: gitea.URL, hook: func(address string) { gitea.AddHook("http://"+address+"/hooks/gitea", secret) }}
	f.clone = func(name string) string { return gitea.CloneURL(owner, name) }
	p := &pushed{gitea: gitea, seen: map[int]time.Time{}}
	p.world = newWorld(b, f)
	p.reach(p.stamping())
	p.serve()
	if err := gitea.CreateRepo(owner, "flour"); err != nil {
		b.Fatal(err)
	}
	f.push(b, "flour", "Begin", map[string]string{".millrace.yaml": oneTask})
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	if err := gitea.Wait(ctx, func() bool {
		i := slices.IndexFunc(gitea.Deliveries(), func(d forgekit.Delivery) bool { return d.Event == "push" })
		if i >= 0 {
			p.delivery = gitea.Deliveries()[i]
		}
		return i >= 0
	}); err != nil {
		b.Fatal(err)
	}
	return p
}

// reach has the daemon reach its cluster by way of a server. Its pods find no node: they cost nothing and go on waiting.
func (p *pushed) reach(server string) {
	p.t.Helper()
	kubeconfig := filepath.Join(p.dir, "kubeconfig")
	text := fmt.Sprintf("{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: %q}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}", server)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(p.dir, "millrace.yaml")
	config, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	now := strings.NewReplacer(
		strconv.Quote(p.lab.Kubeconfig), strconv.Quote(kubeconfig), "capacity: 30", "capacity: 5000, pending_timeout: 1h",
		"kubernetes.io/hostname: localhost", "millrace.dev/nowhere: here",
	).Replace(string(config))
	if err := os.WriteFile(file, []byte(now), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// stamping starts a way to the API server that notes when a Job's create arrives.
func (p *pushed) stamping() string {
	p.t.Helper()
	transport, err := rest.TransportFor(p.lab.Config)
	if err != nil {
		p.t.Fatal(err)
	}
	to, err := url.Parse(p.lab.Config.Host)
	if err != nil {
		p.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorLog: log.New(io.Discard, "", 0), // The daemon ends in the middle of its watches.
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if now := time.Now(); r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/jobs") {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			p.note(body, now)
		}
		proxy.ServeHTTP(w, r)
	}))
	p.t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

func (p *pushed) note(body []byte, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.any = true
	if m := number.FindSubmatch(body); m != nil {
		n, _ := strconv.Atoi(string(m[1]))
		if _, again := p.seen[n]; !again {
			p.seen[n] = at
		}
	}
	p.bell.Ring()
}

// measure sends b.N deliveries and reports how long each took to become a Job.
func (p *pushed) measure(b *testing.B, fetch bool) {
	commits := p.commits(b, fetch)
	sent := make([]time.Time, b.N)
	var answers sync.WaitGroup
	tick := time.NewTicker(every)
	b.ResetTimer()
	for i := range b.N {
		<-tick.C
		req := p.request(b, i, commits[i])
		sent[i] = time.Now()
		answers.Go(func() {
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode != http.StatusAccepted {
				b.Error(res.Status)
			}
		})
	}
	tick.Stop()
	answers.Wait()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	took := make([]time.Duration, 0, b.N)
	if err := p.bell.Wait(ctx, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.seen) == b.N
	}); err != nil {
		b.Fatalf("%d of %d Jobs: %v", len(p.seen), b.N, err)
	}
	b.StopTimer()
	for i, at := range sent {
		took = append(took, p.seen[i].Sub(at))
	}
	report(b, "", took)
}

// commits are what the deliveries name: the one that was pushed, or each another, which no hook has told of.
func (p *pushed) commits(b *testing.B, fresh bool) []string {
	b.Helper()
	head := p.git(b, "rev-parse", "main")
	all := slices.Repeat([]string{head}, b.N)
	if !fresh {
		return all
	}
	tree := p.git(b, "rev-parse", "main^{tree}")
	for i := range all {
		all[i] = p.git(b, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit-tree", "-p", head, "-m", numbered(i), tree)
		p.git(b, "update-ref", "refs/heads/"+numbered(i), all[i])
	}
	return all
}

func (p *pushed) git(b *testing.B, args ...string) string {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "git", append([]string{"--git-dir", p.gitea.Dir(owner, "flour")}, args...)...).Output()
	if err != nil {
		b.Fatalf("git %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// request is the n-th delivery: of a push of commit to a branch of its own, signed.
func (p *pushed) request(b *testing.B, n int, commit string) *http.Request {
	b.Helper()
	body := bytes.ReplaceAll(p.delivery.Body, []byte(p.head(b)), []byte(commit))
	body = bytes.ReplaceAll(body, []byte("refs/heads/main"), []byte("refs/heads/"+numbered(n)))
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, p.delivery.URL, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header = p.delivery.Header.Clone()
	req.Header.Set("X-Gitea-Delivery", forgekit.UUID())
	req.Header.Set("X-Gitea-Signature", sign(body))
	return req
}

var after = regexp.MustCompile(`"after":\s*"([0-9a-f]{40})"`)

func (p *pushed) head(b *testing.B) string {
	b.Helper()
	m := after.FindSubmatch(p.delivery.Body)
	if m == nil {
		b.Fatalf("no commit in %s", p.delivery.Body)
	}
	return string(m[1])
}

func sign(body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// rawParts measures what cannot be saved: an HTTP request whose signature is checked, an entry of a stream that wakes who
// waits for it, and a Job's create.
func rawParts(b *testing.B) {
	p := newPushes(b)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	if err := p.bell.Wait(ctx, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.any }); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	http, wake, create := p.rawHTTP(b), p.rawWake(b), p.rawCreate(b)
	b.StopTimer()
	report(b, "http-", http)
	report(b, "wake-", wake)
	report(b, "create-", create)
	sum := make([]time.Duration, b.N)
	for i := range sum {
		sum[i] = http[i] + wake[i] + create[i]
	}
	report(b, "sum-", sum)
}

func (p *pushed) rawHTTP(b *testing.B) []time.Duration {
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if hmac.Equal([]byte(sign(body)), []byte(r.Header.Get("X-Gitea-Signature"))) {
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer bare.Close()
	to, err := url.Parse(bare.URL)
	if err != nil {
		b.Fatal(err)
	}
	return paced(b, func(i int) {
		req := p.request(b, i, p.head(b))
		req.URL.Host = to.Host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		res.Body.Close()
	})
}

// rawWake is from XADD until a blocked XREADGROUP has the entry.
func (p *pushed) rawWake(b *testing.B) []time.Duration {
	ctx, rdb := b.Context(), p.redis.Client()
	reader := p.redis.Client()
	if err := rdb.XGroupCreateMkStream(ctx, "raw", "g", "$").Err(); err != nil {
		b.Fatal(err)
	}
	woken := make(chan error)
	go func() {
		for range b.N {
			_, err := reader.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"raw", ">"}, Block: time.Minute}).Result()
			woken <- err
		}
	}()
	return paced(b, func(int) {
		if err := rdb.XAdd(ctx, &redis.XAddArgs{Stream: "raw", Values: []string{"v", "1"}}).Err(); err != nil {
			b.Fatal(err)
		}
		if err := <-woken; err != nil {
			b.Fatal(err)
		}
	})
}

// rawCreate makes the Job that Millrace made, again and again.
func (p *pushed) rawCreate(b *testing.B) []time.Duration {
	var job batchv1.Job
	if err := yaml.Unmarshal([]byte(p.kept(p.run(p.head(b)), "t", "manifest")), &job); err != nil {
		b.Fatal(err)
	}
	jobs := p.lab.Client.BatchV1().Jobs(p.lab.Namespace)
	return paced(b, func(i int) {
		job.Name = numbered(i)
		if _, err := jobs.Create(b.Context(), &job, metav1.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
	})
}

// paced does something b.N times at the pace of the pushes, and returns how long each took.
func paced(b *testing.B, do func(i int)) []time.Duration {
	took := make([]time.Duration, b.N)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range took {
		<-tick.C
		began := time.Now()
		do(i)
		took[i] = time.Since(began)
	}
	return took
}

// report reports percentiles in milliseconds.
func report(b *testing.B, part string, took []time.Duration) {
	slices.Sort(took)
	at := func(share int) float64 { return float64(took[(len(took)-1)*share/100].Microseconds()) / 1000 }
	b.ReportMetric(at(50), part+"p50-ms")
	b.ReportMetric(at(99), part+"p99-ms")
	b.ReportMetric(0, "ns/op") // It is the pace.
}
