package arch_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/millrace-ci/millrace/internal/arch"
)

const module = "github.com/millrace-ci/millrace"

// TestHouse holds the whole tree against the laws. It reads it through os.ReadFile, so that the test cache sees a change.
func TestHouse(t *testing.T) {
	broken, err := arch.Check(os.DirFS(moduleRoot(t)), module)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range broken {
		t.Error(line)
	}
}

// moduleRoot walks up from this file to the go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	for dir := filepath.Dir(file); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatalf("no go.mod above %s: run this test in a checkout, without -trimpath", file)
	return ""
}

// TestLaws sees each law fail once, and beside it what it lets pass.
func TestLaws(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		file string
		code string // after the package comment and clause
		want string // part of the only line, "" for none
	}{
		{"implementation of another room", "agent/planner.go", ours("queue/redisq"), "agent may not import queue/redisq"},
		{"root and numbers", "agent/planner.go", ours("queue") + ours("metrics"), ""},
		{"api and an adapter", "agent/api/api.go", ours("agent/store/redisstore"), "agent/api may not import agent/store/redisstore"},
		{"api and the agent", "agent/api/api.go", ours("agent"), "agent/api may not import agent"},
		{"adapter and its root's words", "agent/store/redisstore/store.go", ours("agent/store") + ours("agent/run"), ""},
		{"adapter and another root", "queue/redisq/redisq.go", ours("runners"), "queue/redisq may not import runners"},
		{"adapter and its sibling", "queue/redisq/redisq.go", ours("queue/memq"), "queue/redisq may not import queue/memq"},
		{"forge and telling", "triggers/gitea/gitea.go", ours("agent/report") + ours("triggers"), ""},
		{"forge and forge", "triggers/gitea/gitea.go", ours("triggers/github"), "triggers/gitea may not import triggers/github"},
		{"door and inbox", "triggers/door/door.go", ours("triggers/inbox") + ours("metrics"), ""},
		{"door and forge", "triggers/door/door.go", ours("triggers/github"), "triggers/door may not import triggers/github"},
		{"numbers import nothing", "metrics/queue.go", ours("queue"), "metrics may not import queue"},
		{"code and a suite", "queue/memq/memq.go", ours("queue/queuetest"), "queue/memq may not import queue/queuetest"},
		{"test and a suite", "queue/memq/memq_test.go", ours("queue/queuetest") + ours("runners/local"), ""},
		{"suite imports anything", "queue/queuetest/suite.go", ours("queue/memq") + ours("agent"), ""},
		{"suite and cmd", "queue/queuetest/suite.go", ours("cmd/millrace"), "nobody else imports cmd/millrace"},
		{"test and cmd", "agent/agent_test.go", ours("cmd/millrace"), "nobody else imports cmd/millrace"},
		{"demo imports anything", "test/demo/main.go", ours("test/giteatest") + ours("runners/local"), ""},
		{"cmd imports everything", "cmd/millrace/main.go", ours("queue/redisq") + ours("agent") + ours("cmd/millrace/config"), ""},
		{"configuration and a part", "cmd/millrace/config/config.go", ours("runners/kube"), "cmd/millrace/config may not import runners/kube"},

		{"root and a third party", "queue/queue.go", imports("github.com/redis/go-redis/v9"), "may not import github.com/redis/go-redis/v9"},
		{"root and the standard library", "runners/runners.go", imports("context") + imports("net/http"), ""},
		{"dot import", "queue/queue.go", `import . "time"`, "a dot import hides"},

		{"pure and the world", "agent/run/apply.go", imports("os"), "agent/run is pure and may not import os"},
		{"pure and chance", "agent/run/apply.go", imports("math/rand/v2"), "is pure and may not import math/rand/v2"},
		{"pure and words", "agent/run/apply.go", imports("net/url") + ours("runners"), ""},
		{"pure calls the clock", "agent/param/param.go", imports("time") + "var _ = time.Now()", "may not use time.Now"},
		{"pure hands the clock on", "agent/param/param.go", imports("time") + "var _ = time.Since", "may not use time.Since"},
		{"pure renames the clock", "agent/mask/mask.go", "import t \"time\"\nvar _ = t.After(0)", "may not use time.After"},
		{"pure and durations", "agent/param/param.go", imports("time") + "var _ = time.Second", ""},
		{"pure and its test", "agent/run/run_test.go", imports("os") + imports("time") + "var _ = time.Now()", ""},

		{"no room", "agent/plugins/plugins.go", "", "say in house terms which room this is"},
		{"too deep", "queue/redisq/scripts/scripts.go", "", "say in house terms which room this is"},
		{"init", "queue/memq/memq.go", "func init() {}", "no init functions"},
		{"a method called init", "queue/memq/memq.go", "type q int\nfunc (q) init() {}", ""},
		{"package logger", "agent/worker.go", imports("log/slog") + "var log = slog.Default()", "no package-level logger"},
		{"package logger by type", "agent/worker.go", imports("log/slog") + "var log *slog.Logger", "no package-level logger"},
		{"package metric", "metrics/queue.go", imports("github.com/prometheus/client_golang/prometheus") + "var n prometheus.Counter", "no package-level metrics"},
		{"table of constructors", "cmd/millrace/tables.go", imports("log/slog") + "var kinds = map[string]func(*slog.Logger){}", ""},
		{"test that sleeps", "agent/agent_test.go", imports("time") + "func f() { time.Sleep(1) }", "a test does not sleep"},
		{
			"test that sleeps in a bubble", "agent/agent_test.go",
			imports("time") + imports("testing/synctest") + "func f() { synctest.Test(nil, func() { time.Sleep(1) }) }", "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			source := "// Package p is for this test.\npackage p\n" + tt.code
			if strings.HasSuffix(tt.file, "_test.go") {
				source = "package p_test\n" + tt.code
			}
			wantOnly(t, fstest.MapFS{tt.file: {Data: []byte(source)}}, tt.want)
		})
	}
}

// TestPapers sees the laws fail that are about a package, a folder, or the tree as a whole.
func TestPapers(t *testing.T) {
	t.Parallel()
	const said, unsaid = "// Package memq is for this test.\npackage memq", "package memq"
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no package comment", map[string]string{"queue/memq/a.go": unsaid}, "has 0 package comments"},
		{"two package comments", map[string]string{"queue/memq/a.go": said, "queue/memq/b.go": said}, "has 2 package comments"},
		{"one package comment", map[string]string{"queue/memq/a.go": said, "queue/memq/b.go": unsaid}, ""},
		{"a directive is no comment", map[string]string{"queue/memq/a.go": "//go:build linux\n" + unsaid}, "has 0 package comments"},
		{"nameless folder", map[string]string{"docs/helpers/a.md": ""}, `"helpers" says nothing`},
		{"another module", map[string]string{"test/lab/go.mod": "", "test/lab/deep/down/a.go": unsaid}, ""},
		{"test data", map[string]string{"agent/testdata/a.go": unsaid}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tree := fstest.MapFS{}
			for name, code := range tt.files {
				tree[name] = &fstest.MapFile{Data: []byte(code)}
			}
			wantOnly(t, tree, tt.want)
		})
	}
}

func wantOnly(t *testing.T, tree fstest.MapFS, want string) {
	t.Helper()
	broken, err := arch.Check(tree, module)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(broken, "\n")
	if (got == "") != (want == "") || !strings.Contains(got, want) || len(broken) > 1 {
		t.Errorf("got %q, want one line with %q", got, want)
	}
}

func TestCheckWantsGo(t *testing.T) {
	t.Parallel()
	if _, err := arch.Check(fstest.MapFS{"queue/queue.go": {Data: []byte("queue")}}, module); err == nil {
		t.Error("got no error for a file that does not parse")
	}
}

func ours(folder string) string { return imports(module + "/" + folder) }

func imports(path string) string { return "import \"" + path + "\"\n" }
