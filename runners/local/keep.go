package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/agent/mask"
	"github.com/millrace-ci/millrace/runners"
	"golang.org/x/sys/unix"
)

// errStopped is why a keeper's context ends early.
var errStopped = errors.New("canceled")

// Keep is the body of the hidden command `millrace _job FOLDER` and returns its exit code. It does the job whose folder
// it is given, once: a Runner starts it with the job's lock as file 3, and with credentials and secrets on standard
// input. What it cannot write into the log or exit.json it says on standard error. It changes its process for good (see
// adopt), so nothing else may run in it.
func Keep(dir string) int {
	runtime.LockOSThread() // The kernel kills the command when the thread that started it ends.
	if err := keep(folder(dir)); err != nil {
		fmt.Fprintln(os.Stderr, "keep job:", err)
		return 1
	}
	return 0
}

func keep(f folder) error {
	lock := os.NewFile(lockFD, lockFile)
	defer lock.Close()
	unix.CloseOnExec(lockFD) // What the command leaves running must not look like a keeper.
	if err := f.hold(lock); err != nil {
		return fmt.Errorf("take over lock: %w", err)
	}
	adopt()
	k := keeper{folder: f}
	err := json.NewDecoder(io.LimitReader(os.Stdin, maxHanded)).Decode(&k.given)
	if err != nil {
		return fmt.Errorf("read credentials: %w", err)
	}
	if k.hide, err = mask.New(k.given.secret()...); err != nil {
		return fmt.Errorf("hide secrets: %w", err)
	}
	if err := f.read(orderFile, &k.order); err != nil {
		return err
	}
	if f.has(stopFile) || f.has(startedFile) {
		return nil
	}
	if err := errors.Join(write(f.path(startedFile), nil), flush(string(f))); err != nil {
		return fmt.Errorf("mark as started: %w", err)
	}
	_, _ = unix.Write(1, []byte(ready)) // Who waits for it may be dead, no matter; os.Stdout would make that our death too.
	return k.do()
}

// keeper does one job.
type keeper struct {
	folder folder
	order  order
	given  handed
	hide   *mask.Masker // of what was given
	log    *journal
}

// do runs the job until it has ended or is stopped, frees the disk, and writes down how it ended.
func (k *keeper) do() error {
	file, err := os.OpenFile(k.folder.path(logFile), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	k.log = &journal{to: file, now: time.Now, max: runners.MaxLog, hide: k.hide}
	ctx, cancel := context.WithCancelCause(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		k.folder.watchStop(ctx, cancel)
	}()
	res := k.run(ctx)
	res.EndedAt = time.Now().UTC()
	cancel(nil)
	<-watched
	// First of all: a job that has filled the disk leaves no room to write down how it ended.
	err = k.free()
	res.Reason = withCut(res.Reason, errors.Join(k.log.close(), file.Close()))
	return errors.Join(err, k.folder.conclude(hidden(res, k.hide)))
}

// free removes all that the task may have filled.
func (k *keeper) free() error {
	var problems []error
	for _, dir := range []string{workDir, homeDir, passDir} {
		problems = append(problems, removeTree(k.folder.path(dir)))
	}
	return errors.Join(problems...)
}

// withCut adds to a result's reason that the log could not be written, if it could not.
func withCut(reason string, err error) string {
	if err == nil {
		return reason
	}
	cut := "its log is cut: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	if reason == "" {
		return cut
	}
	return reason + "; " + cut
}

// watchStop ends the context when somebody wants the job stopped.
func (f folder) watchStop(ctx context.Context, cancel context.CancelCauseFunc) {
	bell := newBell(string(f))
	defer bell.close()
	for !f.has(stopFile) {
		if bell.wait(ctx) != nil {
			return
		}
	}
	cancel(errStopped)
}

// run brings the source and runs the command.
func (k *keeper) run(ctx context.Context) runners.Result {
	err := k.prepare(ctx)
	k.given.credentials = credentials{}
	if err == nil && ctx.Err() == nil {
		return k.command(ctx)
	}
	if errors.Is(context.Cause(ctx), errStopped) {
		return runners.Result{Class: runners.Canceled, ExitCode: -1, Reason: errStopped.Error()}
	}
	k.log.printf(sourceName, "%v", err)
	return runners.Result{Class: runners.Infrastructure, ExitCode: -1, Reason: err.Error()}
}

// The containers of the log's lines.
const (
	sourceName = "source"
	taskName   = "task"
)

// prepare makes the working directory and says what is in it.
func (k *keeper) prepare(ctx context.Context) error {
	job := k.order.Job
	for _, dir := range []string{workDir, homeDir} {
		if err := os.Mkdir(k.folder.path(dir), 0o700); err != nil {
			return fmt.Errorf("make working directory: %w", err)
		}
	}
	if job.Image != "" && k.order.Engine == "" {
		k.log.printf(taskName, "image %s is not used: this runner has no containers", job.Image)
	}
	switch {
	case k.order.InPlace != "":
		k.log.printf(sourceName, "running in %s as it is: nothing is checked out", k.order.InPlace)
		return nil
	case job.Source.URL == "":
		k.log.printf(sourceName, "the job has no source: the working directory is empty")
		return nil
	}
	return k.checkout(ctx, job.Source)
}

// removeTree removes a tree, also one with folders that may not be written to, as Go's module cache has them.
func removeTree(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && err == nil {
			_ = os.Chmod(path, 0o700) //nolint:gosec // A folder.
		}
		return nil // What still cannot be removed RemoveAll tells.
	})
	return os.RemoveAll(dir)
}
