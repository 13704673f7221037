//go:build chaos

package chaos_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The programs of the rounds.
var (
	program   string // millrace, built as it is released
	previous  string // that of before, "" where this folder is no git repository that has it
	toxiproxy string
)

// before is the commit of the previous version: the end of issue 3, before there were spool, lanes and looks.
const before = "50c229ef294348f7c2c4054b47269b99d263aaa3"

const root = "../.."

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(built(m))
}

func built(m *testing.M) int {
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program, toxiproxy = filepath.Join(dir, "millrace"), filepath.Join(dir, "toxiproxy")
	err = build(root, program, "./cmd/millrace")
	if err == nil {
		err = build(root, toxiproxy, "-modfile=tools/go.mod", "github.com/Shopify/toxiproxy/v2/cmd/server")
	}
	if err == nil && exec.Command("git", "-C", root, "cat-file", "-e", before).Run() == nil {
		previous, err = buildPrevious(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(folder, output string, what ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-trimpath", "-o", output}, what...)...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", what, err, out)
	}
	return nil
}

// buildPrevious builds the previous version, once for all times: it is kept where the lab keeps its programs.
func buildPrevious(scratch string) (string, error) {
	cache := os.Getenv("MILLRACE_CACHE")
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(dir, "millrace")
	}
	kept := filepath.Join(cache, "chaos", before)
	if _, err := os.Stat(kept); err == nil {
		return kept, nil
	}
	source, archive := filepath.Join(scratch, "previous"), filepath.Join(scratch, "previous.tar")
	if err := os.Mkdir(source, 0o700); err != nil {
		return "", err
	}
	for _, cmd := range []*exec.Cmd{
		exec.Command("git", "-C", root, "archive", "-o", archive, before), exec.Command("tar", "-x", "-f", archive, "-C", source),
		exec.Command("mkdir", "-p", filepath.Dir(kept)),
	} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
	}
	fresh := fmt.Sprintf("%s.%d", kept, os.Getpid()) // Another may build it too: whoever is last replaces it whole.
	if err := build(source, fresh, "./cmd/millrace"); err != nil {
		return "", err
	}
	return kept, os.Rename(fresh, kept)
}
