package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/runners"
)

// Sweep is runners.Sweeper's. It also removes what an interrupted Start or Sweep left an hour ago.
func (r *Runner) Sweep(ctx context.Context, keep func(id string) bool) (int, error) {
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		return 0, fmt.Errorf("sweep jobs: %w", err)
	}
	swept := 0
	var problems []error
	for _, entry := range entries {
		if ctx.Err() != nil {
			return swept, ctx.Err()
		}
		name := entry.Name()
		switch {
		case strings.HasPrefix(name, newPrefix), strings.HasPrefix(name, gonePrefix):
			if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > time.Hour {
				problems = append(problems, removeTree(filepath.Join(r.cfg.Dir, name)))
			}
		case runners.ValidID(name) && !keep(name):
			err := r.folder(name).remove()
			if errors.Is(err, errBusy) {
				continue
			}
			if problems = append(problems, err); err == nil {
				swept++
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		return swept, fmt.Errorf("sweep jobs: %w", err)
	}
	return swept, nil
}

// remove removes the folder of a job that has no keeper, under its lock and after taking its name away, so that whoever
// waits for the lock sees that the job is gone. Errors: errBusy.
func (f folder) remove() error {
	lock, err := f.take()
	if err != nil {
		return err
	}
	defer lock.Close()
	gone := filepath.Join(filepath.Dir(string(f)), gonePrefix+rand.Text())
	if err := os.Rename(string(f), gone); err != nil {
		return err
	}
	return removeTree(gone)
}
