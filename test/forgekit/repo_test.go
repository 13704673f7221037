package forgekit_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// changes is what pushes changed, which may be seen only after the client has its answer.
type changes struct {
	bell forgekit.Bell
	mu   sync.Mutex
	all  []forgekit.Change
}

func (c *changes) add(more []forgekit.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, more...)
	c.bell.Ring()
}

func (c *changes) list() []forgekit.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// want waits for as many changes as are wanted, and compares them.
func (c *changes) want(t *testing.T, want []forgekit.Change) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_ = c.bell.Wait(ctx, func() bool { return len(c.list()) >= len(want) })
	if diff := cmp.Diff(want, c.list()); diff != "" {
		t.Fatalf("changes (-want +got):\n%s", diff)
	}
}

// serve serves a new repository group/sub/project, notes what pushes change, and returns it with its address.
func serve(t *testing.T) (r *forgekit.Repo, address string, changed *changes) {
	t.Helper()
	r, changed = &forgekit.Repo{Root: t.TempDir(), Path: "group/sub/project", Pusher: "ada"}, &changes{}
	if err := r.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.Serve(t.Context(), w, req, changed.add)
	}))
	t.Cleanup(s.Close)
	return r, s.URL + "/group/sub/project.git", changed
}

func TestSSH(t *testing.T) {
	t.Parallel()
	r := &forgekit.Repo{Path: "group/sub/project"}
	for base, want := range map[string]string{
		"":                         "git@127.0.0.1:group/sub/project.git",
		"ssh://git@127.0.0.1:2222": "ssh://git@127.0.0.1:2222/group/sub/project.git",
	} {
		if got := r.SSH(base); got != want {
			t.Errorf("below %q: got %s, want %s", base, got, want)
		}
	}
}

func TestAPushIsSeen(t *testing.T) {
	t.Parallel()
	r, address, changed := serve(t)
	w, err := forgekit.Clone(t.Context(), address, "main")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	one, err := w.Commit(t.Context(), "one", map[string]string{"a": "1", "b": "1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	two, err := w.Commit(t.Context(), "two\n\nmore", map[string]string{"a": "2", "c/d": "1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []forgekit.Change{{Ref: "refs/heads/main", Before: forgekit.Zero, After: one}, {Ref: "refs/heads/main", Before: one, After: two}}
	changed.want(t, want)
	if got := r.Pushed(t.Context(), want[1], 10); !cmp.Equal(got, []string{two}) {
		t.Errorf("pushed: got %v, want %s", got, two)
	}
	c, err := r.Commit(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	got := forgekit.Commit{ID: c.ID, Message: c.Message, Author: c.Author, Added: c.Added, Removed: c.Removed, Modified: c.Modified}
	if diff := cmp.Diff(forgekit.Commit{
		ID: two, Message: "two\n\nmore\n", Author: forgekit.Person{Name: "Ada Lovelace", Email: "ada@example.com"},
		Added: []string{"c/d"}, Removed: []string{}, Modified: []string{"a"},
	}, got); diff != "" {
		t.Errorf("commit (-want +got):\n%s", diff)
	}
	if !r.HasCommit(t.Context(), one) || r.HasCommit(t.Context(), strings.Repeat("a", 40)) || r.HasCommit(t.Context(), "--help") {
		t.Error("HasCommit is wrong")
	}
}

func TestDeletedAndTagged(t *testing.T) {
	t.Parallel()
	_, address, changed := serve(t)
	w, err := forgekit.Clone(t.Context(), address, "main")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	one, err := w.Commit(t.Context(), "one", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, refspec := range []string{"HEAD:refs/heads/a/b", "HEAD:refs/tags/v1", ":refs/heads/a/b"} {
		if err := w.Git(t.Context(), "push", "-q", "origin", refspec); err != nil {
			t.Fatal(err)
		}
	}
	want := []forgekit.Change{
		{Ref: "refs/heads/a/b", Before: forgekit.Zero, After: one},
		{Ref: "refs/tags/v1", Before: forgekit.Zero, After: one},
		{Ref: "refs/heads/a/b", Before: one, After: forgekit.Zero},
	}
	changed.want(t, want)
	if c := want[0]; c.Tag() || c.Short() != "a/b" {
		t.Errorf("%+v: tag %v, short %q", c, c.Tag(), c.Short())
	}
	if c := want[1]; !c.Tag() || c.Short() != "v1" {
		t.Errorf("%+v: tag %v, short %q", c, c.Tag(), c.Short())
	}
}

// TestCloneFails leaves nothing behind and says what git said.
func TestCloneFails(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal(err)
	}
	if _, err := forgekit.Clone(t.Context(), filepath.Join(temp, "nothing"), "main"); err == nil || !strings.Contains(err.Error(), "git clone") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}
