package local_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/local"
	"golang.org/x/sys/unix"
)

// limited is a runner whose keepers and tasks cannot make a file larger than blocks of 512 bytes: what a full disk is to
// a write, for those who may not mount one.
func limited(t *testing.T, blocks string) local.Config {
	t.Helper()
	cfg := config(t)
	cfg.Command = append([]string{"/bin/sh", "-c", `ulimit -f ` + blocks + `; exec "$0" "$@"`}, cfg.Command...)
	return cfg
}

// smallDisk is a runner on a disk of 1 MiB, or where none can be mounted one whose files are limited to that.
func smallDisk(t *testing.T) local.Config {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m,mode=700"); err != nil {
		return limited(t, "2048")
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	cfg := config(t)
	cfg.Dir = filepath.Join(dir, "jobs")
	t.Cleanup(func() { awaitKeepers(t, cfg.Dir) })
	return cfg
}

// result waits for the job, whose log may end in half a line.
func result(t *testing.T, r *local.Runner, job runners.Job) runners.Result {
	t.Helper()
	uid, err := r.Start(t.Context(), job)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	res, err := r.Wait(t.Context(), job.ID, uid, nopLog{})
	if err != nil {
		t.Fatalf("wait: %v", err)
	}
	return res
}

func TestJobFillsTheDisk(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]string{"the workspace": "fill", "its home": "$HOME/fill", "its summary": "$MILLRACE_SUMMARY"} {
		r := newRunner(t, smallDisk(t))
		// What it says does not fit into 1 MiB either.
		res := result(t, r, shell(t, `cat /dev/zero > "`+place+`"; yes | head -c 2000000; exit 3`))
		wantResult(t, res, runners.Failure, 3, "exit code 3; its log is cut: ")
		if res := result(t, r, shell(t, "echo room")); res.Class != runners.Succeeded || res.Reason != "" {
			t.Errorf("%s was full: the next job ended with %+v", name, res)
		}
	}
}

func TestCutLogIsTold(t *testing.T) {
	t.Parallel()
	res := result(t, newRunner(t, limited(t, "128")), shell(t, "yes | head -c 200000"))
	wantResult(t, res, runners.Succeeded, 0, "its log is cut: ")
}

// TestNoRoomForTheResult has a summary that exit.json has no room for: nothing half may be taken for the result.
func TestNoRoomForTheResult(t *testing.T) {
	t.Parallel()
	cfg := limited(t, "32")
	job := shell(t, `head -c 16000 /dev/zero | tr '\0' '"' > "$MILLRACE_SUMMARY"`) // Twice as long in JSON.
	res := result(t, newRunner(t, cfg), job)
	wantResult(t, res, runners.Lost, -1, "could not write down how it ended")
	if _, err := os.Stat(filepath.Join(cfg.Dir, job.ID, "exit.json")); err == nil {
		t.Error("half a result was given its name")
	}
}

// TestResultIsUnreadable finds what a disk may make of a result.
func TestResultIsUnreadable(t *testing.T) {
	t.Parallel()
	cfg, job := config(t), shell(t, "true")
	r := newRunner(t, cfg)
	end(t, r, job)
	awaitKeepers(t, cfg.Dir)
	for _, text := range []string{"", `{"version":1,"result":{"class":"succ`, "null", `{"version":2,"result":{}}`} {
		if err := os.WriteFile(filepath.Join(cfg.Dir, job.ID, "exit.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		res := result(t, r, job)
		wantResult(t, res, runners.Lost, -1, "cannot be read")
	}
}
