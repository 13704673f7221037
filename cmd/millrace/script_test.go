package main

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/millrace-ci/millrace/test/forgekit"
	"github.com/millrace-ci/millrace/test/giteatest"
)

var update = flag.Bool("update", false, "rewrite what scripts compare output with")

// TestScripts runs testdata/script: each command as users type it, its exit code, messages and output. Beside
// testscript's own commands there are `waitfor FILE REGEXP`, `gitea` and `push`, see below.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ADDRESS", ownAddress())
			source, err := filepath.Abs("../..")
			env.Setenv("SOURCE", source)
			env.Setenv("BIN", filepath.Dir(millrace(t)))
			env.Values[theForge{}] = new(*giteatest.Server)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"waitfor": waitFor, "gitea": startGitea, "push": push,
		},
	})
}

// millrace is the path of the program.
func millrace(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("millrace")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// waitFor polls a file that a process in the background writes until the regular expression is in it.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[1])
	for end := time.Now().Add(time.Minute); ; {
		data, _ := os.ReadFile(ts.MkAbs(args[0]))
		if pattern.Match(data) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s does not come in %s:\n%s", args[1], args[0], data)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// theForge is the key of a script's Gitea.
type theForge struct{}

// startGitea starts a small Gitea and sets FORGE to its URL and TOKEN to what opens it. `gitea open` asks for none.
func startGitea(ts *testscript.TestScript, _ bool, args []string) {
	token := "a token of the scripts"
	if len(args) == 1 && args[0] == "open" {
		token = ""
	}
	forge, err := giteatest.Start(giteatest.Config{Dir: ts.MkAbs("gitea"), Token: token})
	ts.Check(err)
	ts.Defer(func() { _ = forge.Close() })
	ts.Setenv("FORGE", forge.URL)
	ts.Setenv("TOKEN", token)
	*ts.Value(theForge{}).(**giteatest.Server) = forge
}

// push pushes .millrace.yaml to the repository OWNER/NAME, which it makes when it is new, and tells millrace at ADDRESS,
// signed with the secret `hush`, or does not: push OWNER/NAME FILE [unheard].
func push(ts *testscript.TestScript, _ bool, args []string) {
	forge := *ts.Value(theForge{}).(**giteatest.Server)
	owner, name, _ := strings.Cut(args[0], "/")
	if _, err := os.Stat(forge.Dir(owner, name)); err != nil {
		ts.Check(forge.CreateRepo(owner, name))
		if len(args) < 3 {
			forge.AddHook("http://"+ts.Getenv("ADDRESS")+"/hooks/gitea", "hush")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w, err := forgekit.Clone(ctx, forge.CloneURL(owner, name), "main")
	ts.Check(err)
	defer w.Close()
	commit, err := w.Commit(ctx, "Grind", map[string]string{".millrace.yaml": ts.ReadFile(args[1])})
	ts.Check(err)
	ts.Check(w.Push(ctx))
	ts.Setenv("COMMIT", commit)
}
