package repo_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/repo"
)

func TestRefs(t *testing.T) {
	t.Parallel()
	f := open(t)
	r := repo.New(repo.Config{})
	got, err := r.Refs(t.Context(), f.access())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "refs of an empty repository", got, map[string]string{})
	first := f.commit("main", file{path: "a", data: "1"})
	second := f.commit("feature/x", file{path: "a", data: "2"})
	git := func(args ...string) {
		f.run("", append([]string{"-c", "user.name=a", "-c", "user.email=a@b", "-C", f.dir}, args...)...)
	}
	git("tag", "plain", first)
	git("tag", "-m", "m", "annotated", second)
	git("update-ref", "refs/pull/7/head", second)
	git("update-ref", "refs/heads/-x", second)
	f.asked()
	got, err = r.Refs(t.Context(), f.access())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "refs", got, map[string]string{
		"refs/heads/main": first, "refs/heads/feature/x": second, "refs/tags/plain": first, "refs/tags/annotated": second,
	})
	same(t, "requests", f.asked(), "GET refs")
	_, err = repo.New(repo.Config{MaxRefs: 3}).Refs(t.Context(), f.access())
	wantError(t, err, repo.ErrTooLarge, "more than 3 branches and tags")
}

func TestRefsCredentials(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.commit("main")
	f.wrap = guarded
	refs := func(password, url string) (map[string]string, error) {
		return repo.New(repo.Config{}).Refs(t.Context(), triggers.Access{URL: url, Username: "u", Password: triggers.Secret(password)})
	}
	if got, err := refs(token, f.url); err != nil || len(got) != 1 {
		t.Errorf("with the token: %v, %v", got, err)
	}
	_, err := refs("wrong-wrong", f.url)
	wantError(t, err, repo.ErrDenied, "401 Unauthorized")
	if strings.Contains(err.Error(), "wrong-wrong") {
		t.Errorf("the error shows the password: %v", err)
	}
	_, err = refs(token, "file:///etc")
	wantError(t, err, repo.ErrUnsupported, "")
}

func TestRefsOverSSH(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	server := sshForge(t)
	read := func() map[string]string {
		got, err := repo.New(repo.Config{SSH: server.Login()}).Refs(t.Context(), triggers.Access{URL: server.URL(f.dir)})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	same(t, "refs of an empty repository", read(), map[string]string{})
	commit := f.commit("main")
	same(t, "refs", read(), map[string]string{"refs/heads/main": commit})
}

// TestRefsCutShort: a list that is not whole is an error, or what it lacks would be taken for deleted.
func TestRefsCutShort(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("a", 40)
	whole := refs(commit)
	for end := range len(whole) {
		cfg := repo.Config{Transport: served(whole[:end], func(*http.Request) io.Reader { return nil })}
		if got, err := repo.New(cfg).Refs(t.Context(), triggers.Access{URL: "http://git.test/o/r.git"}); err == nil {
			t.Errorf("after %q: got %v, want an error", whole[:end], got)
		}
	}
	cfg := repo.Config{Transport: served(whole[:len(whole)-4]+line(commit+" refs/heads/main\n")+"0000", nil)}
	got, err := repo.New(cfg).Refs(t.Context(), triggers.Access{URL: "http://git.test/o/r.git"})
	if err != nil || len(got) != 1 {
		t.Errorf("the whole list: %v, %v", got, err)
	}
}

// TestRefsEndless: a list without end is not held in memory.
func TestRefsEndless(t *testing.T) {
	t.Parallel()
	cfg := repo.Config{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200, Request: r, Header: http.Header{"Content-Type": {"application/x-git-upload-pack-advertisement"}},
			Body: io.NopCloser(&endless{begin: strings.TrimSuffix(refs(strings.Repeat("a", 40)), "0000"), more: line(strings.Repeat("b", 40) + " refs/pull/1/head\n")}),
		}, nil
	})}
	_, err := repo.New(cfg).Refs(t.Context(), triggers.Access{URL: "http://git.test/o/r.git"})
	if !errors.Is(err, repo.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, repo.ErrTooLarge)
	}
}

// FuzzRefs lets a server answer anything at all: every ref that is read can be one, and names a commit.
func FuzzRefs(f *testing.F) {
	commit := strings.Repeat("a", 40)
	whole := strings.TrimSuffix(refs(commit), "0000")
	f.Add(whole + line(commit+" refs/heads/main\n") + line(commit+" refs/tags/v1\n") + line(strings.Repeat("b", 40)+" refs/tags/v1^{}\n") + "0000")
	f.Add(whole + line(commit+" refs/heads/../../x\n") + line("x refs/heads/-x\n") + "0000")
	f.Add(advert + line(strings.Repeat("0", 40)+" capabilities^{}\x00side-band-64k\n") + "0000")
	f.Add("001e# service=git-upload-pack\n0000ffff")
	f.Add("0004")
	f.Add("<html>")
	f.Fuzz(func(t *testing.T, answer string) {
		got, err := repo.New(repo.Config{Transport: served(answer, nil)}).Refs(t.Context(), triggers.Access{URL: "http://git.test/o/r.git"})
		if err != nil && got != nil {
			t.Errorf("got %v with error %v", got, err)
		}
		for ref, commit := range got {
			branch, tag := triggers.SplitRef(ref)
			if err := errors.Join(triggers.CheckRef(branch+tag), triggers.CheckCommit(commit)); err != nil {
				t.Errorf("%s %s: %v", commit, ref, err)
			}
		}
	})
}
