package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/local"
)

// fakeEngine writes down how it is called and runs what follows the image, without a container.
const fakeEngine = `#!/bin/sh
dir=$(dirname "$0")
printf '%s\n' "$*" >> "$dir/calls"
test "$1" = run || exit 0
printf '%s\n' "$@" > "$dir/args"
env > "$dir/env"
while [ "$1" != golang:1.26 ]; do shift; done
shift
exec "$@"
`

func TestEngine(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	cfg := config(t)
	cfg.InPlace, cfg.Engine = t.TempDir(), filepath.Join(bin, "podman")
	if err := os.WriteFile(cfg.Engine, []byte(fakeEngine), 0o700); err != nil {
		t.Fatal(err)
	}
	job := shell(t, "exit 4")
	job.Image = "golang:1.26"
	job.Env = map[string]string{"BRANCH": "two\nlines", "DOCKER_HOST": "tcp://elsewhere"}
	res, _ := end(t, newRunner(t, cfg), job)
	wantResult(t, res, runners.Failure, 4, "exit code 4")

	args, _ := os.ReadFile(filepath.Join(bin, "args"))
	want := strings.Join([]string{
		"run", "--rm", "--name", job.ID, "--security-opt", "label=disable", "--workdir", "/workspace",
		"--volume", cfg.InPlace + ":/workspace", "--volume", filepath.Join(cfg.Dir, job.ID, "pass") + ":/millrace",
		"--env", "BRANCH", "--env", "CI", "--env", "DOCKER_HOST=tcp://elsewhere", "--env", "MILLRACE_EVENT",
		"--env", "MILLRACE_OUTPUT", "--env", "MILLRACE_OUTPUT_LIMIT", "--env", "MILLRACE_SUMMARY",
		"golang:1.26", "/bin/sh", "-c", "exit 4", "",
	}, "\n")
	if diff := cmp.Diff(want, string(args)); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	env, _ := os.ReadFile(filepath.Join(bin, "env"))
	if got := string(env); !strings.Contains(got, "BRANCH=two\nlines\n") || !strings.Contains(got, "MILLRACE_OUTPUT=/millrace/output\n") || strings.Contains(got, "elsewhere") {
		t.Errorf("the engine's environment: got %q, want the values, but none that steers it", got)
	}
	if calls, _ := os.ReadFile(filepath.Join(bin, "calls")); !strings.HasSuffix(string(calls), "\nrm --force "+job.ID+"\n") {
		t.Errorf("calls: got %q, want the container removed at last", calls)
	}
}

func TestEngineCannotStartContainer(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Engine = filepath.Join(t.TempDir(), "podman")
	if err := os.WriteFile(cfg.Engine, []byte("#!/bin/sh\necho no such image\nexit 125\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	job := shell(t, "true")
	job.Image = "golang:1.26"
	res, said := end(t, newRunner(t, cfg), job)
	wantResult(t, res, runners.Infrastructure, -1, "could not be started")
	if !strings.Contains(said, "no such image\n") {
		t.Errorf("log: got %q, want the engine's words", said)
	}
}

func TestFindEngine(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	if got := local.FindEngine(t.Context()); got != "" {
		t.Errorf("without any: got %q, want none", got)
	}
	docker := filepath.Join(bin, "docker")
	for name, script := range map[string]string{"podman": "#!/bin/sh\nexit 1\n", "docker": "#!/bin/sh\n[ \"$*\" = info ]\n"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if got := local.FindEngine(t.Context()); got != docker {
		t.Errorf("with a podman that does not work: got %q, want %q", got, docker)
	}
}
