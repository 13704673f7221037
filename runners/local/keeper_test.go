package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/local"
	"github.com/millrace-ci/millrace/runners/runnertest"
	"golang.org/x/sys/unix"
)

// end waits for the job and returns its result and what it said.
func end(t *testing.T, r *local.Runner, job runners.Job) (runners.Result, string) {
	t.Helper()
	uid, err := r.Start(t.Context(), job)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	var log runnertest.Log
	res, err := r.Wait(t.Context(), job.ID, uid, &log)
	if err != nil {
		t.Fatalf("wait: %v", err)
	}
	return res, log.Text(t, "task") + log.Text(t, "source")
}

func wantResult(t *testing.T, res runners.Result, class runners.Class, code int, reason string) {
	t.Helper()
	if res.Class != class || res.ExitCode != code || !strings.Contains(res.Reason, reason) {
		t.Errorf("result: got %+v, want class %s, exit code %d and a reason with %q", res, class, code, reason)
	}
}

// gone tells whether no process of this number runs; one that nobody has waited for yet does not.
func gone(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	_, after, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(after, "Z")
}

// keeperOf finds the process that keeps the job in dir.
func keeperOf(t *testing.T, dir string) int {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if line, _ := os.ReadFile(file); strings.HasSuffix(string(line), "\x00_job\x00"+dir+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			return pid
		}
	}
	t.Fatalf("no process keeps %s", dir)
	return 0
}

func TestKeeperKilled(t *testing.T) {
	t.Parallel()
	cfg, pids := config(t), filepath.Join(t.TempDir(), "pids")
	r := newRunner(t, cfg)
	// The shell, its child, and its child's child: all of them must go.
	job := shell(t, fmt.Sprintf(`echo $$ > '%[1]s'; sh -c 'echo $$ >> "%[1]s"; sleep 600 & echo $! >> "%[1]s"; echo ready; wait' & wait`, pids))
	uid, err := r.Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	var log runnertest.Log
	result := make(chan runners.Result, 1)
	go func() {
		res, err := r.Wait(t.Context(), job.ID, uid, &log)
		if err != nil {
			t.Errorf("wait: %v", err)
		}
		result <- res
	}()
	log.Await(t.Context(), t, "ready")
	syscall.Kill(keeperOf(t, filepath.Join(cfg.Dir, job.ID)), syscall.SIGKILL)
	wantResult(t, <-result, runners.Lost, -1, "killed")
	data, _ := os.ReadFile(pids)
	for pid := range strings.FieldsSeq(string(data)) {
		eventually(t, "process "+pid+" is gone", func() bool { return gone(pid) })
	}
	if err := r.Stop(t.Context(), job.ID); err != nil {
		t.Errorf("stop: %v", err)
	}
	if again, err := r.Start(t.Context(), job); again != uid || err != nil {
		t.Errorf("start: got uid %q and error %v, want %q: a lost job is not made again", again, err, uid)
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	t.Parallel()
	res, said := end(t, newRunner(t, config(t)), shell(t, "sleep 600 & echo $!; setsid sh -c 'echo $$; sleep 601 & wait' & sleep 0.2; exit 0"))
	wantResult(t, res, runners.Succeeded, 0, "")
	left := 0
	for line := range strings.Lines(said) {
		if _, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			if left++; !gone(strings.TrimSpace(line)) {
				t.Errorf("process %s still runs", line)
			}
		}
	}
	if left != 2 {
		t.Errorf("got %d processes in %q, want 2", left, said)
	}
}

func TestGroupSignalsItself(t *testing.T) {
	t.Parallel()
	r := newRunner(t, config(t))
	res, _ := end(t, r, shell(t, "trap 'exit 3' TERM; sleep 600 & kill 0; wait"))
	wantResult(t, res, runners.Failure, 3, "exit code 3")
	res, _ = end(t, r, shell(t, "kill -9 0"))
	wantResult(t, res, runners.Failure, 137, "SIGKILL")
}

// TestLargeLog has 40 MiB: all of it is handed on.
func TestLargeLog(t *testing.T) {
	t.Parallel()
	const lines = 40 << 10
	res, said := end(t, newRunner(t, config(t)), shell(t, fmt.Sprintf("yes %s | head -n %d; echo end", strings.Repeat("x", 1023), lines)))
	wantResult(t, res, runners.Succeeded, 0, "")
	if n := strings.Count(said, "x\n"); n != lines || !strings.Contains(said, "x\nend\n") {
		t.Errorf("got %d lines of %d, and %d bytes that end with %q", n, lines, len(said), said[max(0, len(said)-200):])
	}
}

// TestCrashBeforeKeeper makes the folder as an agent leaves it that dies before it has started a keeper.
func TestCrashBeforeKeeper(t *testing.T) {
	t.Parallel()
	cfg, job := config(t), shell(t, "echo once")
	broken := cfg
	broken.Command = []string{"/bin/false"}
	if _, err := newRunner(t, broken).Start(t.Context(), job); err == nil || !strings.Contains(err.Error(), "keeper") {
		t.Fatalf("start: got error %v, want one that says that the keeper ended", err)
	}
	res, said := end(t, newRunner(t, cfg), job)
	wantResult(t, res, runners.Succeeded, 0, "")
	if strings.Count(said, "once") != 1 {
		t.Errorf("output: got %q, want it once", said)
	}
}

// TestKeepersByHand starts keepers as nobody should: none of them may do the job a second time, or half.
func TestKeepersByHand(t *testing.T) {
	t.Parallel()
	cfg, ran := config(t), filepath.Join(t.TempDir(), "ran")
	job := shell(t, fmt.Sprintf("echo run >> '%s'", ran))
	broken := cfg
	broken.Command = []string{"/bin/false"}
	newRunner(t, broken).Start(t.Context(), job)
	dir := filepath.Join(cfg.Dir, job.ID)
	keeper := func(input string, lock bool) error {
		cmd := exec.Command(cfg.Command[0], "_job", dir)
		cmd.Stdin = strings.NewReader(input)
		if lock {
			awaitKeepers(t, cfg.Dir) // A test that forks this moment may have the last one's lock for a moment.
			file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			cmd.ExtraFiles = []*os.File{file}
		}
		return cmd.Run()
	}
	if keeper("{}", false) == nil {
		t.Error("a keeper without the lock: got no error")
	}
	if keeper("", true) == nil {
		t.Error("a keeper whose starter died before it handed over the credentials: got no error")
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the command ran")
	}
	stop := filepath.Join(dir, "stop")
	if err := os.WriteFile(stop, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keeper("{}", true); err != nil {
		t.Errorf("a keeper of a stopped job: got error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "started")); err == nil || os.Remove(stop) != nil {
		t.Error("a stopped job was started")
	}
	for range 2 {
		if err := keeper("{}", true); err != nil {
			t.Errorf("a keeper with everything: got error %v", err)
		}
	}
	if got, _ := os.ReadFile(ran); string(got) != "run\n" {
		t.Errorf("the command left %q, want one line", got)
	}
}

// TestStarterKilled kills an agent at many moments of its Start; the next one must find or make the job, once.
func TestStarterKilled(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	r := newRunner(t, cfg)
	for i := range 25 {
		ran := filepath.Join(t.TempDir(), "ran")
		job := shell(t, fmt.Sprintf("echo run >> '%s'", ran))
		agent := exec.Command(cfg.Command[0], "_start", cfg.Dir, job.ID, job.Command[2])
		out, err := agent.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := agent.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := io.ReadAll(io.LimitReader(out, 1)); err != nil || len(line) != 1 {
			t.Fatalf("the agent said %q: %v", line, err)
		}
		<-time.After(time.Duration(i) * 700 * time.Microsecond) // Any moment will do.
		agent.Process.Kill()
		agent.Wait()
		res, _ := end(t, r, job)
		wantResult(t, res, runners.Succeeded, 0, "")
		if got, _ := os.ReadFile(ran); string(got) != "run\n" {
			t.Fatalf("the command left %q, want one line", got)
		}
	}
}

// startAndHang is the agent of TestStarterKilled.
func startAndHang(dir, id, script string) {
	self, _ := os.Executable()
	r, err := local.New(local.Config{Dir: dir, Command: []string{self, "_job"}, Log: quiet})
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("!")
	job := runners.Job{ID: id, Command: []string{"/bin/sh", "-c", script}}
	if _, err := r.Start(context.Background(), job); err != nil {
		panic(err)
	}
	unix.Pause()
}

func TestCommandCannotStart(t *testing.T) {
	t.Parallel()
	r := newRunner(t, config(t))
	job := shell(t, "")
	job.Command = []string{"no-such-command", "x"}
	res, said := end(t, r, job)
	wantResult(t, res, runners.Failure, 127, `cannot start "no-such-command"`)
	if !strings.Contains(said, "no-such-command") {
		t.Errorf("log: got %q, want the command's name", said)
	}
	job = shell(t, "")
	job.Command = []string{filepath.Join(t.TempDir(), "text")}
	if err := os.WriteFile(job.Command[0], nil, 0o644); err != nil {
		t.Fatal(err)
	}
	res, _ = end(t, r, job)
	wantResult(t, res, runners.Failure, 126, "permission denied")
}

func TestEnvironmentIsOurs(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Env = map[string]string{"GOPROXY": "off", "LANG": "C"}
	job := shell(t, "")
	job.Command = []string{"env"}
	job.Env = map[string]string{"LANG": "zh_CN.UTF-8", "MILLRACE_OUTPUT": "/etc/passwd"}
	res, said := end(t, newRunner(t, cfg), job)
	wantResult(t, res, runners.Succeeded, 0, "")
	dir := filepath.Join(cfg.Dir, job.ID)
	want := fmt.Sprintf(`CI=true
GOPROXY=off
HOME=%[1]s/home
LANG=zh_CN.UTF-8
MILLRACE_EVENT=%[1]s/pass/event.json
MILLRACE_OUTPUT=%[1]s/pass/output
MILLRACE_OUTPUT_LIMIT=65536
MILLRACE_SUMMARY=%[1]s/pass/summary.md
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
`, dir)
	if diff := cmp.Diff(want, strings.TrimSuffix(said, "the job has no source: the working directory is empty\n")); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	res, said = end(t, newRunner(t, cfg), shell(t, `tr '\0' '\n' < /proc/$PPID/environ`))
	if strings.Contains(said, leak) {
		t.Errorf("the keeper's environment holds the agent's secret: %s %s", res.Class, said)
	}
}

func TestInPlace(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.InPlace = t.TempDir()
	job := shell(t, "pwd; echo made > made")
	job.Image = "golang:1.26"
	job.Source = runners.Source{URL: "http://127.0.0.1:1/none", Commit: strings.Repeat("a", 40)}
	res, said := end(t, newRunner(t, cfg), job)
	wantResult(t, res, runners.Succeeded, 0, "")
	for _, want := range []string{cfg.InPlace + "\n", "image golang:1.26 is not used: this runner has no containers\n", "nothing is checked out\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("log: got %q, want it to say %q", said, want)
		}
	}
	if _, err := os.Stat(filepath.Join(cfg.InPlace, "made")); err != nil {
		t.Errorf("the folder was not kept as the task left it: %v", err)
	}
}

func TestPassedFilesAreHostile(t *testing.T) {
	t.Parallel()
	r := newRunner(t, config(t))
	for what, script := range map[string]string{
		"a pipe":             `rm "$MILLRACE_OUTPUT"; mkfifo "$MILLRACE_OUTPUT"`,
		"a link":             `echo A=1 > other; ln -sf "$PWD/other" "$MILLRACE_OUTPUT"`,
		"a folder":           `rm "$MILLRACE_OUTPUT"; mkdir "$MILLRACE_OUTPUT"`,
		"one byte too large": `head -c $((MILLRACE_OUTPUT_LIMIT + 1)) /dev/zero | tr '\0' '\n' > "$MILLRACE_OUTPUT"`,
	} {
		res, _ := end(t, r, shell(t, script))
		if res.Class != runners.Failure || res.ExitCode != 0 {
			t.Errorf("%s: got %+v, want a failure with exit code 0", what, res)
		}
	}
	res, _ := end(t, r, shell(t, `rm "$MILLRACE_OUTPUT" "$MILLRACE_SUMMARY"`))
	wantResult(t, res, runners.Succeeded, 0, "")
	res, _ = end(t, r, shell(t, `echo 'A=1' > "$MILLRACE_OUTPUT"; head -c 70000 /dev/zero | tr '\0' '\377' > "$MILLRACE_SUMMARY"; exit 2`))
	wantResult(t, res, runners.Failure, 2, "exit code 2")
	if res.Outputs["A"] != "1" || !strings.HasPrefix(res.Summary, "?") {
		t.Errorf("got outputs %v and summary %.20q, want those of the failed command too", res.Outputs, res.Summary)
	}
	res, _ = end(t, r, shell(t, `head -c 70000 /dev/zero | tr '\0' s > "$MILLRACE_SUMMARY"`))
	if len(res.Summary) != 64<<10 || !strings.HasSuffix(res.Summary, "(cut: a summary has at most 64 KiB)\n") {
		t.Errorf("summary: got %d bytes, want it cut at 64 KiB with a note", len(res.Summary))
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	r := newRunner(t, cfg)
	ended, kept, running, stopped := shell(t, `mkdir -p "$HOME/a" && chmod 500 "$HOME/a"`), shell(t, "true"), shell(t, "echo ready; sleep 600"), shell(t, "true")
	end(t, r, ended)
	end(t, r, kept)
	awaitKeepers(t, cfg.Dir)
	if _, err := os.Stat(filepath.Join(cfg.Dir, ended.ID, "home")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the task's home is still there: %v", err)
	}
	if err := r.Stop(t.Context(), stopped.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Start(t.Context(), running); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{".new-old": 2 * time.Hour, ".gone-old": 2 * time.Hour, ".new-young": 0} {
		dir, at := filepath.Join(cfg.Dir, name), time.Now().Add(-age)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chtimes(dir, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	n, err := r.Sweep(t.Context(), func(id string) bool { return id == kept.ID })
	if n != 2 || err != nil {
		t.Errorf("swept: got %d and error %v, want 2", n, err)
	}
	var left []string
	entries, _ := os.ReadDir(cfg.Dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	for _, want := range []string{kept.ID, running.ID, ".new-young"} {
		if !strings.Contains(strings.Join(left, " "), want) {
			t.Errorf("left are %q, want %s among them", left, want)
		}
	}
	if len(left) != 3 {
		t.Errorf("left are %q, want 3", left)
	}
	if err := r.Stop(t.Context(), running.ID); err != nil {
		t.Fatal(err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := local.New(local.Config{Dir: "relative", InPlace: "relative"})
	for _, want := range []string{"dir", "command", "in place", "log"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that names %s", err, want)
		}
	}
}

// TestPowerLoss finds a job as a machine leaves it that went down while the job ran.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	cfg, job := config(t), shell(t, "true")
	r := newRunner(t, cfg)
	end(t, r, job)
	awaitKeepers(t, cfg.Dir)
	if err := os.Remove(filepath.Join(cfg.Dir, job.ID, "exit.json")); err != nil {
		t.Fatal(err)
	}
	res, _ := end(t, r, job)
	wantResult(t, res, runners.Lost, -1, "killed")
	if err := os.RemoveAll(filepath.Join(cfg.Dir, job.ID)); err != nil {
		t.Fatal(err)
	}
	res, err := r.Wait(t.Context(), job.ID, "uid", nopLog{})
	if err != nil {
		t.Fatal(err)
	}
	wantResult(t, res, runners.Lost, -1, "folder is gone")
}
