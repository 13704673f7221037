package repo_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/repo"
)

// guarded asks for the token before it lets git answer.
func guarded(w http.ResponseWriter, r *http.Request, git http.Handler) {
	if user, password, _ := r.BasicAuth(); user != "u" || password != token {
		http.Error(w, "not you, "+password, http.StatusUnauthorized)
		return
	}
	git.ServeHTTP(w, r)
}

// readAs reads with a token and fails the test when an error shows it.
func readAs(t *testing.T, url, password, commit string) ([]triggers.File, error) {
	t.Helper()
	access := triggers.Access{URL: url, Username: "u", Password: triggers.Secret(password)}
	files, _, err := repo.New(repo.Config{}).Definitions(t.Context(), access, triggers.At{Ref: "refs/heads/main", Commit: commit})
	if err != nil && strings.Contains(err.Error(), password) {
		t.Errorf("the error shows the password: %v", err)
	}
	return files, err
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	f := open(t)
	commit := f.commit("main", file{path: ".millrace.yaml", data: "guarded"})
	f.wrap = guarded
	files, err := readAs(t, f.url, token, commit)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "files", files, []triggers.File{{Path: ".millrace.yaml", Data: []byte("guarded")}})
	_, err = readAs(t, f.url, "wrong-wrong", commit)
	wantError(t, err, repo.ErrDenied, "401 Unauthorized: check that the forge's token may read this repository")
}

func TestRedirectOnTheSameHost(t *testing.T) {
	t.Parallel()
	f := open(t)
	commit := f.commit("main", file{path: ".millrace.yaml", data: "moved"})
	f.wrap = func(w http.ResponseWriter, r *http.Request, git http.Handler) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/old.git/"); ok {
			http.Redirect(w, r, "/o/r.git/"+rest+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
			return
		}
		guarded(w, r, git)
	}
	files, err := readAs(t, strings.Replace(f.url, "/o/r.git", "/old.git", 1), token, commit)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "files", files, []triggers.File{{Path: ".millrace.yaml", Data: []byte("moved")}})
	same(t, "requests", f.asked(), "GET refs, "+askedTwice)
}

func TestRedirectElsewhere(t *testing.T) {
	t.Parallel()
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the other host was asked: %s %s %v", r.Method, r.URL, r.Header)
	}))
	t.Cleanup(thief.Close)
	var f *forge
	tests := map[string]struct {
		to   func() string
		want error
		text string
	}{
		"another port":    {func() string { return thief.URL + "/o/r.git/info/refs" }, repo.ErrUnsupported, "redirects to http://127.0.0.1:"},
		"another host":    {func() string { return "http://u:" + token + "@thief.test/o/r.git/info/refs" }, repo.ErrUnsupported, "redirects to http://thief.test"},
		"another scheme":  {func() string { return "file:///etc/info/refs" }, nil, "unsupported scheme"},
		"a login page":    {func() string { return "/login" }, repo.ErrDenied, "no git repository"},
		"round and round": {func() string { return f.url + "/info/refs" }, nil, "redirect"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f = open(t)
			commit := f.commit("main")
			f.wrap = func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				http.Redirect(w, r, tt.to(), http.StatusFound)
			}
			_, err := readAs(t, f.url, token, commit)
			wantError(t, err, tt.want, tt.text)
		})
	}
}

// The POSTs follow nothing: git does not either.
func TestRedirectOfTheRequest(t *testing.T) {
	t.Parallel()
	f := open(t)
	commit := f.commit("main")
	f.wrap = func(w http.ResponseWriter, r *http.Request, git http.Handler) {
		if r.Method == http.MethodPost {
			http.Redirect(w, r, "/elsewhere.git/git-upload-pack", http.StatusTemporaryRedirect)
			return
		}
		git.ServeHTTP(w, r)
	}
	_, err := readAs(t, f.url, token, commit)
	if err == nil {
		t.Fatal("got no error")
	}
	same(t, "requests", f.asked(), askedOnce)
}
