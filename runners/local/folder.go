package local

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace-ci/millrace/runners"
	"golang.org/x/sys/unix"
)

// What is in a job's folder.
const (
	orderFile   = "job.json"   // an order
	lockFile    = "lock"       // flock(2): held by the keeper as long as it lives
	startedFile = "started"    // the job is made
	stopFile    = "stop"       // somebody wants it ended, or never started
	logFile     = "log"        // what Wait copies
	exitFile    = "exit.json"  // an exit: the job has ended
	keeperFile  = "keeper.log" // what the keeper itself has to say
	workDir     = "workspace"  // the commit
	homeDir     = "home"       // the task's HOME
	passDir     = "pass"       // what passes between the task and us:
	eventFile   = "event.json" // MILLRACE_EVENT
	outputFile  = "output"     // MILLRACE_OUTPUT
	summaryFile = "summary.md" // MILLRACE_SUMMARY
)

const (
	newPrefix  = ".new-"  // a folder that is being made
	gonePrefix = ".gone-" // a folder that is being removed
)

// errBusy means that another process holds a job's lock, or moved the folder away.
var errBusy = errors.New("the job is busy")

// folder is the path of a job's folder.
type folder string

// order is what a job is, without its credentials.
type order struct {
	Version int               `json:"version"`
	UID     string            `json:"uid"`
	Job     runners.Job       `json:"job"`
	InPlace string            `json:"in_place,omitempty"`
	Engine  string            `json:"engine,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
}

// exit is how a job ended.
type exit struct {
	Version int            `json:"version"`
	Result  runners.Result `json:"result"`
}

func (f folder) path(names ...string) string {
	return filepath.Join(append([]string{string(f)}, names...)...)
}

func (f folder) has(name string) bool {
	_, err := os.Lstat(f.path(name))
	return err == nil
}

// read decodes the JSON file name into v.
func (f folder) read(name string, v any) error {
	data, err := os.ReadFile(f.path(name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", f.path(name), err)
	}
	return nil
}

// conclude writes down how the job ended, whole or not at all.
func (f folder) conclude(res runners.Result) error {
	data, err := json.Marshal(exit{Version: 1, Result: res})
	if err != nil {
		return fmt.Errorf("encode %s: %w", exitFile, err)
	}
	next := f.path(exitFile + ".new")
	if err := write(next, data); err != nil {
		return fmt.Errorf("write down how the job ended: %w", err)
	}
	return errors.Join(os.Rename(next, f.path(exitFile)), flush(string(f)))
}

// result reads how the job ended. Errors: fs.ErrNotExist.
func (f folder) result() (runners.Result, error) {
	var e exit
	if err := f.read(exitFile, &e); err != nil {
		return runners.Result{}, err
	}
	if e.Version != 1 {
		return runners.Result{}, fmt.Errorf("%s has version %d, which is not known", f.path(exitFile), e.Version)
	}
	return e.Result, nil
}

// made returns the uid of a job that has been started, or "".
func (f folder) made() (string, error) {
	var o order
	err := f.read(orderFile, &o)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !f.has(startedFile) {
		return "", nil
	}
	return o.UID, err
}

// makeJob makes the folder of a job that is ready to start, unless there is one already.
func (f folder) makeJob(o order, event []byte) error {
	if f.has("") {
		return nil
	}
	o.UID = rand.Text()
	data, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encode %s: %w", orderFile, err)
	}
	return f.make(func(f folder) error {
		if err := os.Mkdir(f.path(passDir), 0o700); err != nil {
			return err
		}
		return errors.Join(
			write(f.path(passDir, eventFile), event), write(f.path(passDir, outputFile), nil), write(f.path(passDir, summaryFile), nil),
			write(f.path(lockFile), nil), write(f.path(orderFile), data))
	})
}

// makeStopped leaves the stop mark, in a folder of its own where there is none.
func (f folder) makeStopped() error {
	mark := func(f folder) error { return write(f.path(stopFile), nil) }
	if !f.has("") {
		if err := f.make(mark); err != nil {
			return err
		}
	}
	return errors.Join(mark(f), flush(string(f)))
}

// make fills a new folder and gives it its name in one step. That somebody else was faster is no error.
func (f folder) make(fill func(folder) error) error {
	temp := folder(filepath.Join(filepath.Dir(string(f)), newPrefix+rand.Text()))
	defer func() { _ = os.RemoveAll(string(temp)) }()
	if err := os.Mkdir(string(temp), 0o700); err != nil {
		return fmt.Errorf("make job folder: %w", err)
	}
	if err := errors.Join(fill(temp), flush(string(temp))); err != nil {
		return fmt.Errorf("fill job folder: %w", err)
	}
	err := os.Rename(string(temp), string(f))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("name job folder: %w", err)
	}
	return flush(filepath.Dir(string(f)))
}

// take takes the lock without waiting. Errors: errBusy.
func (f folder) take() (*os.File, error) {
	lock, err := os.OpenFile(f.path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errBusy // The folder was swept meanwhile.
	}
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := f.hold(lock); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// hold locks the open file lock, or keeps it locked, if it is this folder's. Errors: errBusy.
func (f folder) hold(lock *os.File) error {
	err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errBusy
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.path(lockFile), err)
	}
	held, err := lock.Stat()
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.path(lockFile), err)
	}
	if named, err := os.Stat(f.path(lockFile)); err != nil || !os.SameFile(held, named) {
		return errBusy // It is the lock of a folder that was swept meanwhile.
	}
	return nil
}

// kept tells whether a keeper lives, or somebody starts one this moment.
func (f folder) kept() bool {
	lock, err := os.Open(f.path(lockFile))
	if err != nil {
		return exhausted(err) // Our own want of files says nothing about the keeper.
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil {
		return true
	}
	_ = unix.Flock(int(lock.Fd()), unix.LOCK_UN) // A child that is being forked has the file too: closing is not enough.
	return false
}

// write makes or overwrites a file and brings it to the disk.
func write(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}

// flush brings a folder's names to the disk.
func flush(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
