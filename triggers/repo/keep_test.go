package repo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/repo"
)

// What was read last is kept, as far as the bytes reach.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	f := open(t)
	commits := make([]string, 4)
	for i := range commits {
		commits[i] = f.commit("main", file{path: ".millrace.yaml", data: strings.Repeat(fmt.Sprint(i), 10_000)})
	}
	big := f.commit("main", file{path: ".millrace.yaml", data: strings.Repeat("x", 40_000)})
	r := repo.New(repo.Config{CacheBytes: 35_000}) // Three of them.
	for _, step := range []struct{ commit, asked string }{
		{commits[0], askedTwice},
		{commits[1], askedTwice},
		{commits[2], askedTwice},
		{commits[0], ""},
		{commits[3], askedTwice}, // The oldest is now commits[1].
		{big, askedTwice},
		{big, askedTwice}, // Too large to keep, and nothing goes for it.
		{commits[0], ""},
		{commits[2], ""},
		{commits[3], ""},
		{commits[1], askedTwice},
	} {
		read(t, r, f, step.commit)
		same(t, "requests for "+step.commit, f.asked(), step.asked)
	}
}

// A server's last bytes may come late: they are waited for, so that one connection does.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.wrap = func(w http.ResponseWriter, r *http.Request, git http.Handler) {
		git.ServeHTTP(w, r)
		_ = http.NewResponseController(w).Flush()
		<-time.After(20 * time.Millisecond)
	}
	commit := f.commit("main", append(many(300), file{path: ".millrace.yaml"})...)
	transport := http.DefaultTransport.(*http.Transport).Clone() // the shared one loses what is idle when any test server closes
	defer transport.CloseIdleConnections()
	read(t, repo.New(repo.Config{Transport: transport}), f, commit)
	same(t, "requests", f.asked(), askedTwice)
	same(t, "connections", f.connections.Load(), int32(1))
}

func TestErrorsAreNotKept(t *testing.T) {
	t.Parallel()
	f := open(t)
	commit := f.commit("main", file{path: ".millrace.yaml", data: "x"})
	r := repo.New(repo.Config{})
	f.wrap = status(503)
	_, _, err := r.Definitions(t.Context(), f.access(), triggers.At{Commit: commit})
	wantError(t, err, nil, "503")
	f.wrap = nil
	got, _ := read(t, r, f, commit)
	same(t, "files", got, map[string]string{".millrace.yaml": "x"})
}

func TestTogether(t *testing.T) {
	t.Parallel()
	f := open(t)
	commit := f.commit("main", file{path: ".millrace.yaml", data: "shared"})
	first, gate := make(chan struct{}, 9), make(chan struct{})
	f.wrap = func(w http.ResponseWriter, r *http.Request, git http.Handler) {
		first <- struct{}{}
		<-gate
		git.ServeHTTP(w, r)
	}
	r := repo.New(repo.Config{})
	impatient, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { // The first to come goes before there is an answer.
		_, _, err := r.Definitions(impatient, f.access(), triggers.At{Commit: commit})
		left <- err
	}()
	<-first
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			got, _ := read(t, r, f, commit)
			same(t, "files", got, map[string]string{".millrace.yaml": "shared"})
		})
	}
	repo.AwaitWaiting(r, f.url, commit, 11)
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left: got %v, want %v", err, context.Canceled)
	}
	close(gate)
	wg.Wait()
	same(t, "requests", f.asked(), askedTwice)
}

// When the last one who waited leaves, the reading ends before he is gone, and who comes then begins anew.
func TestNobodyWaits(t *testing.T) {
	t.Parallel()
	var (
		r      *repo.Reader
		access = triggers.Access{URL: "http://forge.test/r"}
		at     = triggers.At{Commit: strings.Repeat("12", 20)}
		begun  = make(chan struct{})
		asked  int
		again  error
	)
	transport := roundTrip(func(req *http.Request) (*http.Response, error) {
		if asked++; asked == 2 {
			return nil, errors.New("asked anew")
		}
		close(begun)
		<-req.Context().Done()
		_, _, again = r.Definitions(t.Context(), access, at)
		return nil, req.Context().Err()
	})
	r = repo.New(repo.Config{Transport: transport, Timeout: time.Hour})
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-begun; leave() }()
	_, _, err := r.Definitions(ctx, access, at)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("who left: got %v, want %v", err, context.Canceled)
	}
	wantError(t, again, nil, "asked anew")
}

// A server may filter and then not give out what it left out: then it is asked for everything.
func TestFilesWithheld(t *testing.T) {
	t.Parallel()
	f := open(t)
	commit := f.commit("main", append(many(50), file{path: ".millrace.yaml", data: "had after all"})...)
	f.wrap = func(w http.ResponseWriter, r *http.Request, git http.Handler) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodPost && !bytes.Contains(body, []byte("deepen 1")) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			fmt.Fprint(w, line("ERR want 1234 not valid"))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		git.ServeHTTP(w, r)
	}
	got, _ := read(t, repo.New(repo.Config{}), f, commit)
	same(t, "files", got, map[string]string{".millrace.yaml": "had after all"})
	same(t, "requests", f.asked(), askedTwice+", POST git-upload-pack")
}

// Servers differ in how they wrap a pack.
func TestSideBands(t *testing.T) {
	t.Parallel()
	p, commit := wanting(id("blob", "x"))
	p.whole(typeBlob, "x")
	pack := p.done()
	small := ""
	for rest := pack; rest != ""; {
		n := min(len(rest), 100)
		small += band(2, "so far so good\r") + band(1, rest[:n])
		rest = rest[n:]
	}
	for caps, answer := range map[string]string{
		"shallow":                         pack,
		"shallow side-band":               small + "0000",
		"shallow side-band-64k side-band": band(1, pack) + "0000",
	} {
		refs := advert + line(commit+" HEAD\x00"+caps+"\n") + "0000"
		files, _, err := ask(t, repo.Config{Transport: served(refs, always(accepted+answer))}, commit)
		if err != nil {
			t.Fatalf("%s: %v", caps, err)
		}
		same(t, caps, files, []triggers.File{{Path: ".millrace.yaml", Data: []byte("x")}})
	}
	_, _, err := ask(t, repo.Config{Transport: served(advert+line(commit+" HEAD\x00ofs-delta\n")+"0000", always(""))}, commit)
	wantError(t, err, repo.ErrUnsupported, "lacks shallow fetches")
}
