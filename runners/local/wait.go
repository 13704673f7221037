package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/millrace-ci/millrace/runners"
)

// Wait is runners.Runner's. What the job was given its keeper hides in all that it writes, since it alone knows that for
// sure. What is kept now is told to log as well, for what the job says by other ways; what cannot be read any more is not.
func (r *Runner) Wait(ctx context.Context, id, uid string, log runners.Log) (runners.Result, error) {
	if !runners.ValidID(id) {
		return lost("no job has such an id"), nil
	}
	f := r.folder(id)
	var o order
	switch err := f.read(orderFile, &o); {
	case errors.Is(err, fs.ErrNotExist):
		return lost("its folder is gone"), nil
	case err != nil:
		return runners.Result{}, fmt.Errorf("wait for job %s: %w", id, err)
	case o.UID != uid:
		return lost("another job has its id: " + o.UID + " instead of " + uid), nil
	}
	log.Mask(r.keptNow(o.Job)...)
	res, err := r.follow(ctx, f, log)
	if err != nil {
		return runners.Result{}, fmt.Errorf("wait for job %s: %w", id, err)
	}
	return res, nil
}

// follow copies the log as it grows until the job has ended.
func (r *Runner) follow(ctx context.Context, f folder, log io.Writer) (runners.Result, error) {
	bell := newBell(string(f))
	defer bell.close()
	tail := tail{path: f.path(logFile), buf: make([]byte, 64<<10)}
	defer tail.close()
	for {
		r.reap()
		alive := f.kept() // First: a keeper that is seen dead has written all that it ever will.
		res, err := f.result()
		if exhausted(err) {
			return runners.Result{}, err
		}
		if err := tail.copy(ctx, log); err != nil {
			return runners.Result{}, err
		}
		switch {
		case err == nil:
			return res, nil
		case alive:
		case errors.Is(err, fs.ErrNotExist):
			return lost("its keeper was killed, or could not write down how it ended: see " + f.path(keeperFile)), nil
		default:
			return lost("how it ended cannot be read: " + err.Error()), nil
		}
		if err := bell.wait(ctx); err != nil {
			return runners.Result{}, err
		}
	}
}

func lost(why string) runners.Result {
	return runners.Result{Class: runners.Lost, ExitCode: -1, Reason: "the job was lost: " + why}
}

// tail reads a file that may not be there yet and that grows.
type tail struct {
	path string
	file *os.File
	buf  []byte
}

// copy writes what is there and was not copied yet.
func (t *tail) copy(ctx context.Context, to io.Writer) error {
	if t.file == nil {
		file, err := os.Open(t.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("open log: %w", err)
		}
		t.file = file
	}
	for ctx.Err() == nil {
		n, err := t.file.Read(t.buf)
		if n > 0 {
			if _, err := to.Write(t.buf[:n]); err != nil {
				return fmt.Errorf("copy log: %w", err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
	}
	return ctx.Err()
}

func (t *tail) close() {
	if t.file != nil {
		t.file.Close()
	}
}

// bell rings when something in a folder changes, and each second besides: a keeper that is killed changes nothing. Where
// the system has no more inotify instances the seconds must do.
type bell struct {
	watcher *fsnotify.Watcher
	ticker  *time.Ticker
}

// newBell listens from now on: what is looked at afterwards cannot change unheard.
func newBell(dir string) *bell {
	b := &bell{ticker: time.NewTicker(time.Second)}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return b
	}
	if err := watcher.Add(dir); err != nil {
		watcher.Close()
		return b
	}
	b.watcher = watcher
	return b
}

// wait returns when the bell has rung since the last wait, or with ctx's error.
func (b *bell) wait(ctx context.Context) error {
	var changes chan fsnotify.Event
	var troubles chan error
	if b.watcher != nil {
		changes, troubles = b.watcher.Events, b.watcher.Errors
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-b.ticker.C:
	case <-changes:
	case <-troubles: //nolint:errcheck // Too much happened at once: look.
	}
	return nil
}

func (b *bell) close() {
	b.ticker.Stop()
	if b.watcher != nil {
		b.watcher.Close()
	}
}
