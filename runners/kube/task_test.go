package kube_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-ci/millrace/runners/kube"
)

// task is a command under the script of the container task.
type task struct {
	*exec.Cmd
	message string
}

func newTask(t *testing.T, shell []string, argv ...string) task {
	t.Helper()
	dir := t.TempDir()
	message := filepath.Join(dir, "message")
	script := strings.ReplaceAll(kube.TaskScript, "/dev/termination-log", message)
	args := append(shell[1:len(shell):len(shell)], "-c", script, "sh")
	cmd := exec.CommandContext(t.Context(), shell[0], append(args, argv...)...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "MILLRACE_OUTPUT=" + dir + "/output", "MILLRACE_SUMMARY=" + dir + "/summary", "MILLRACE_OUTPUT_LIMIT=4095",
		"child=1", "again=1", "limit=1", "code=1",
	}
	return task{cmd, message}
}

// end is the exit code and the message.
func (c task) end(t *testing.T, err error) (code int, message string) {
	t.Helper()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	data, err := os.ReadFile(c.message)
	if err != nil {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(data)
}

func TestTaskScript(t *testing.T) {
	t.Parallel()
	fill := func(n int, file string) string {
		return "head -c " + strconv.Itoa(n) + " /dev/zero | tr '\\0' '#' >\"$" + file + "\""
	}
	mark := "\n# millrace: summary\n"
	tests := []struct {
		name    string
		argv    []string
		code    int
		message string
	}{
		{"nothing", []string{"true"}, 0, ""},
		{"exit code", []string{"sh", "-c", "exit 42"}, 42, ""},
		{"no such command", []string{"/no/such"}, 127, ""},
		{"a builtin's name", []string{"exit", "3"}, 127, ""},
		{"arguments", []string{"sh", "-c", `printf '%s|' "$@" >"$MILLRACE_OUTPUT"`, "sh", "", "a b", "$(id)", "'; id; '", "-n"}, 0, "|a b|$(id)|'; id; '|-n|"},
		{"environment", []string{"sh", "-c", `echo "$child$again$limit$code" >"$MILLRACE_OUTPUT"`}, 0, "1111\n"},
		{"output", []string{"sh", "-c", `echo A=1 >"$MILLRACE_OUTPUT"; exit 3`}, 3, "A=1\n"},
		{"summary", []string{"sh", "-c", `echo '# Fine' >"$MILLRACE_SUMMARY"`}, 0, mark + "# Fine\n"},
		{"both", []string{"sh", "-c", `printf A=1 >"$MILLRACE_OUTPUT"; echo '# Fine' >"$MILLRACE_SUMMARY"`}, 0, "A=1" + mark + "# Fine\n"},
		{"as much as fits", []string{"sh", "-c", fill(4095, "MILLRACE_OUTPUT")}, 0, strings.Repeat("#", 4095)},
		{"more than fits", []string{"sh", "-c", fill(5000, "MILLRACE_OUTPUT")}, 0, strings.Repeat("#", 4096)},
		{"a long summary", []string{"sh", "-c", "echo A=1 >\"$MILLRACE_OUTPUT\"; " + fill(9000, "MILLRACE_SUMMARY")}, 0, "A=1\n" + mark + strings.Repeat("#", 4070)},
		{"no room for a summary", []string{"sh", "-c", fill(4080, "MILLRACE_OUTPUT") + "; " + fill(9, "MILLRACE_SUMMARY")}, 0, strings.Repeat("#", 4080)},
		{"files that are none", []string{"sh", "-c", `mkfifo "$MILLRACE_OUTPUT"; mkdir "$MILLRACE_SUMMARY"`}, 0, ""},
	}
	for _, shell := range shells {
		for _, test := range tests {
			t.Run(shell[0]+" "+test.name, func(t *testing.T) {
				t.Parallel()
				c := newTask(t, shell, test.argv...)
				code, message := c.end(t, c.Run())
				if code != test.code || message != test.message {
					t.Errorf("got exit code %d and message %.200q (%d), want %d and %.200q (%d)",
						code, message, len(message), test.code, test.message, len(test.message))
				}
			})
		}
	}
}

// TestTaskAskedToEnd asks the script to end. The command hears of it, may take its time, and what it says then counts.
func TestTaskAskedToEnd(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
			t.Run(shell[0]+" "+signal.String(), func(t *testing.T) {
				t.Parallel()
				c := newTask(t, shell, "sh", "-c", `trap 'sleep 0.2; echo A=1 >"$MILLRACE_OUTPUT"; exit 5' TERM; echo ready; for i in $(seq 200); do sleep 0.05; done`)
				out, err := c.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				if _, err := out.Read(make([]byte, 16)); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if err := c.Process.Signal(signal); err != nil {
						t.Fatal(err)
					}
				}
				if code, message := c.end(t, c.Wait()); code != 5 || message != "A=1\n" {
					t.Errorf("got exit code %d and message %q, want 5 and A=1", code, message)
				}
			})
		}
	}
}
