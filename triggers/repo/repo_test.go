package repo_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/repo"
)

// read reads what f has at a commit, and fails the test on an error.
func read(t *testing.T, r *repo.Reader, f *forge, commit string) (map[string]string, map[string]string) {
	t.Helper()
	files, bad, err := r.Definitions(t.Context(), f.access(), triggers.At{Ref: "refs/heads/main", Commit: commit})
	if err != nil {
		t.Fatal(err)
	}
	data, reasons := map[string]string{}, map[string]string{}
	for _, x := range files {
		data[x.Path] = string(x.Data)
	}
	for _, x := range bad {
		reasons[x.Path] = x.Reason
	}
	return data, reasons
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files []file
		want  map[string]string
		asked string
	}{
		"none":       {many(5), map[string]string{}, askedOnce},
		"one":        {append(many(5), file{path: ".millrace.yaml", data: "name: a\n"}), map[string]string{".millrace.yaml": "name: a\n"}, askedTwice},
		"empty file": {[]file{{path: ".millrace.yaml"}}, map[string]string{".millrace.yaml": ""}, askedTwice},
		"executable": {[]file{{".millrace.yaml", "100755", "x"}}, map[string]string{".millrace.yaml": "x"}, askedTwice},
		"both, and what is neither": {
			[]file{
				{path: ".millrace.yaml", data: "1"},
				{path: ".millrace/b.yaml", data: "2"},
				{path: ".millrace/a.yaml", data: "3"},
				{path: ".millrace/templates/t.yaml", data: "no"},
				{path: ".millrace/deep.yaml/t.yaml", data: "no"},
				{path: ".millrace/readme.md", data: "no"},
				{path: ".millrace/.hidden.yaml", data: "no"},
				{path: "sub/.millrace.yaml", data: "no"},
			},
			map[string]string{".millrace.yaml": "1", ".millrace/a.yaml": "3", ".millrace/b.yaml": "2"},
			askedTwice,
		},
		"the same twice": {
			[]file{{path: ".millrace/b.yaml", data: "2"}, {path: ".millrace/a.yaml", data: "2"}},
			map[string]string{".millrace/a.yaml": "2", ".millrace/b.yaml": "2"},
			askedTwice,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			commit := f.commit("main", tt.files...)
			r := repo.New(repo.Config{})
			got, bad := read(t, r, f, commit)
			same(t, "files", got, tt.want)
			same(t, "unreadable", bad, map[string]string{})
			same(t, "requests", f.asked(), tt.asked)

			got, _ = read(t, r, f, commit)
			same(t, "files again", got, tt.want)
			same(t, "requests when known", f.asked(), "")
		})
	}
}

func TestDefinitionsInOrder(t *testing.T) {
	t.Parallel()
	f := open(t)
	commit := f.commit("main", file{path: ".millrace/b.yaml"}, file{path: ".millrace/a.yaml"}, file{path: ".millrace.yaml"})
	files, _, err := repo.New(repo.Config{}).Definitions(t.Context(), f.access(), triggers.At{Commit: commit})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range files {
		got = append(got, x.Path)
	}
	same(t, "paths", got, []string{".millrace.yaml", ".millrace/a.yaml", ".millrace/b.yaml"})
}

// A server may filter or not, and give out what is no tip or not; each is read with as few requests as it takes.
func TestServers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		config []string
		asked  string
	}{
		"default":           {nil, askedOnce},
		"reachable":         {[]string{"uploadpack.allowReachableSHA1InWant=true"}, askedOnce},
		"filter":            {[]string{"uploadpack.allowFilter=true"}, askedTwice},
		"filter, reachable": {[]string{"uploadpack.allowFilter=true", "uploadpack.allowReachableSHA1InWant=true"}, askedTwice},
		"filter, any":       {[]string{"uploadpack.allowFilter=true", "uploadpack.allowAnySHA1InWant=true"}, askedTwice},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForge(t, tt.config...)
			old := f.commit("main", append(many(300), file{path: ".millrace.yaml", data: "old"})...)
			tip := f.commit("main", append(many(300), file{path: ".millrace.yaml", data: "new"})...)
			for commit, want := range map[string]string{tip: "new", old: "old"} {
				got, _ := read(t, repo.New(repo.Config{}), f, commit)
				same(t, "files", got, map[string]string{".millrace.yaml": want})
				same(t, "requests", f.asked(), tt.asked)
			}
		})
	}
}

// Files that resemble each other come as deltas, and so do trees.
func TestDeltas(t *testing.T) {
	t.Parallel()
	for _, config := range []string{"uploadpack.allowFilter=true", "uploadpack.allowFilter=false"} {
		t.Run(config, func(t *testing.T) {
			t.Parallel()
			f := newForge(t, config)
			var files []file
			want := map[string]string{}
			body := strings.Repeat("a line that all of them share, of some length\n", 40)
			for i := range 60 {
				var lines strings.Builder
				for j := range i {
					fmt.Fprintf(&lines, "%d %d\n", i, j*j)
				}
				p, data := fmt.Sprintf(".millrace/p%02d.yaml", i), body+lines.String()
				files, want[p] = append(files, file{path: p, data: data}), data
				for j := range 60 { // Folders that differ by one name.
					if i != j {
						files = append(files, file{path: fmt.Sprintf("d%02d/a_rather_long_name_%02d", i, j), data: "x"})
					}
				}
			}
			commit := f.commit("main", files...)
			f.run("", "-C", f.dir, "repack", "-adfq", "--depth=50", "--window=50")
			got, _ := read(t, repo.New(repo.Config{}), f, commit)
			same(t, "files", got, want)
		})
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	f := open(t)
	commit := f.commit("main",
		file{".millrace.yaml", "120000", "/etc/passwd"},
		file{".millrace/link.yaml", "120000", "../../../../etc/shadow"},
		file{".millrace/module.yaml", "160000", strings.Repeat("ab", 20)},
		file{path: ".millrace/long.yaml", data: strings.Repeat("x", 1001)},
		file{path: ".millrace/just.yaml", data: strings.Repeat("x", 1000)},
		file{path: `".millrace/bell\007.yaml"`, data: "x"},
		file{path: ".millrace/good.yaml", data: "good"},
	)
	got, bad := read(t, repo.New(repo.Config{MaxFileBytes: 1000}), f, commit)
	same(t, "files", got, map[string]string{".millrace/good.yaml": "good", ".millrace/just.yaml": strings.Repeat("x", 1000)})
	same(t, "unreadable", bad, map[string]string{
		".millrace.yaml":          "is a symbolic link: a pipeline must be a file of its own",
		".millrace/link.yaml":     "is a symbolic link: a pipeline must be a file of its own",
		".millrace/module.yaml":   "is a submodule: a pipeline must be a file of this repository",
		`".millrace/bell\a.yaml"`: "has a name with characters that cannot be shown: rename it",
		".millrace/long.yaml":     "has 1001 bytes: a pipeline may have 1000",
	})
}

func TestFolderThatIsNone(t *testing.T) {
	t.Parallel()
	f := open(t)
	for mode, data := range map[string]string{"": "a file", "120000": "/etc", "160000": strings.Repeat("ab", 20)} {
		commit := f.commit("main", file{".millrace", mode, data}, file{path: ".millrace.yaml", data: "good"})
		got, bad := read(t, repo.New(repo.Config{}), f, commit)
		same(t, "files", got, map[string]string{".millrace.yaml": "good"})
		same(t, "unreadable", bad, map[string]string{".millrace": "is not a folder: put pipelines into files .millrace/NAME.yaml"})
	}
}

func TestAnnotatedTag(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.commit("main", file{path: ".millrace.yaml", data: "tagged"})
	f.run("", "-C", f.dir, "-c", "user.name=a", "-c", "user.email=a@b", "tag", "-a", "-m", "m", "v1", "main")
	tag := strings.TrimSpace(f.run("", "-C", f.dir, "rev-parse", "refs/tags/v1"))
	got, _ := read(t, repo.New(repo.Config{}), f, tag)
	same(t, "files", got, map[string]string{".millrace.yaml": "tagged"})
}

func TestErrors(t *testing.T) {
	t.Parallel()
	gone := strings.Repeat("12", 20)
	tests := map[string]struct {
		cfg    repo.Config
		files  []file
		commit string // "" is the one that exists
		wrap   func(http.ResponseWriter, *http.Request, http.Handler)
		want   error
		text   string
	}{
		"commit gone":    {commit: gone, want: repo.ErrNotFound, text: "rewritten or deleted"},
		"too many files": {cfg: repo.Config{MaxFiles: 1}, files: []file{{path: ".millrace/a.yaml"}, {path: ".millrace/b.yaml"}}, want: repo.ErrTooLarge, text: "2 pipeline files in one commit, more than 1"},
		"pack too long":  {cfg: repo.Config{MaxPackBytes: 2000}, files: many(300), want: repo.ErrTooLarge, text: "longer than 2000 bytes"},
		"pack too many":  {cfg: repo.Config{MaxObjects: 3}, files: many(300), want: repo.ErrTooLarge, text: "more than 3"},
		"denied":         {wrap: status(401), want: repo.ErrDenied, text: "401 Unauthorized"},
		"forbidden":      {wrap: status(403), want: repo.ErrDenied, text: "403 Forbidden"},
		"gone":           {wrap: status(404), want: repo.ErrNotFound, text: "404 Not Found"},
		"not modified":   {wrap: status(304), text: "304 Not Modified"},
		"to nowhere":     {wrap: status(302), text: "302 Found"},
		"too often":      {wrap: tooOften, text: "403 Forbidden"},
		"weather":        {wrap: status(502), text: "502 Bad Gateway"},
		"web page":       {wrap: status(200), want: repo.ErrUnsupported, text: `answered "text/html"`},
		"sha-256":        {commit: strings.Repeat("12", 32), want: repo.ErrUnsupported, text: "SHA-256"},
		"no commit":      {commit: "main", want: repo.ErrUnsupported, text: "not a commit's id"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			commit := f.commit("main", tt.files...)
			f.wrap = tt.wrap
			if tt.commit != "" {
				commit = tt.commit
			}
			_, _, err := repo.New(tt.cfg).Definitions(t.Context(), f.access(), triggers.At{Ref: "refs/heads/main", Commit: commit})
			wantError(t, err, tt.want, tt.text)
		})
	}
}

func status(code int) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(code)
		fmt.Fprint(w, "<html>an answer that nobody bounds</html>")
	}
}

func tooOften(w http.ResponseWriter, r *http.Request, git http.Handler) {
	w.Header().Set("Retry-After", "60")
	status(403)(w, r, git)
}

// wantError checks that err is of the one class, or of none (weather), and says text.
func wantError(t *testing.T, err, class error, text string) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, c := range []error{repo.ErrUnsupported, repo.ErrNotFound, repo.ErrDenied, repo.ErrTooLarge, repo.ErrHostile} {
		if got, want := errors.Is(err, c), errors.Is(class, c); got != want {
			t.Errorf("error %q: is %q: got %v, want %v", err, c, got, want)
		}
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("error: got %q, want %q in it", err, text)
	}
}

func TestEmptyRepository(t *testing.T) {
	t.Parallel()
	f := open(t)
	_, _, err := repo.New(repo.Config{}).Definitions(t.Context(), f.access(), triggers.At{Commit: strings.Repeat("12", 20)})
	wantError(t, err, repo.ErrNotFound, "repository is empty")
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	transport := roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("there was a request")
		return nil, errors.New("refused")
	})
	for _, url := range []string{
		"file:///etc", "/etc", "ext::sh -c id", "ext::http://x/y", "git://127.0.0.1/r", "ftp://127.0.0.1/r", "git@127.0.0.1:o/r.git", "",
		"http://", "http:///r", "http:o/r", "http://127.0.0.1", "http://127.0.0.1/", "http://127.0.0.1/r?x=y", "http://127.0.0.1/r#x",
		"http://127.0.0.1:99999/r", "http://user:hunter2@127.0.0.1/r", "http://hunter2@127.0.0.1/r", "ssh://git:hunter2@127.0.0.1/r",
		"http://127.0.0.1:hunter2/r", "ssh://127.0.0.1/r%0a", "http://127.0.0.1/\x00hunter2",
	} {
		_, _, err := repo.New(repo.Config{Transport: transport}).Definitions(t.Context(),
			triggers.Access{URL: url}, triggers.At{Commit: strings.Repeat("12", 20)})
		if !errors.Is(err, repo.ErrUnsupported) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v, want %v", url, err, repo.ErrUnsupported)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
