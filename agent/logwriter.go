package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/mask"
)

// logWriter is the runners.Log of one attempt: it hides secrets and appends what is left. A runner that begins at the
// first byte each time adds nothing twice, because the log leaves out what it has, and what is hidden hangs on the bytes
// alone. It is for one goroutine.
type logWriter struct {
	ctx    context.Context // of the watching: the io.Writer that runners know takes none
	logs   logs.Logs
	key    logs.Key
	log    *slog.Logger
	values []string // to be hidden
	masker *mask.Masker
	masked *mask.Writer // nil before the first byte
	offset int64
	began  bool  // has is known
	has    int64 // so much the log had before the first byte
}

// Mask hides values in all that follows, and in the result: who tells some after the first byte has written whole lines.
// What is too short would be found in any text: it is not hidden, and the daemon's log says so.
func (w *logWriter) Mask(values ...string) {
	for _, v := range values {
		if len(strings.Trim(v, "\r\n")) < mask.MinValue {
			if v != "" {
				w.log.WarnContext(w.ctx, "a secret is too short to be hidden", "run", w.key.Run, "task", w.key.Task, "bytes", len(v))
			}
			continue
		}
		if !slices.Contains(w.values, v) {
			w.values, w.masker = append(w.values, v), nil
		}
	}
	if w.masker == nil && w.masked != nil && w.masked.Close() == nil {
		w.masked = nil // Else the next write says why it could not be closed.
	}
}

// hide is the masker of all that was told.
func (w *logWriter) hide() (*mask.Masker, error) {
	if w.masker == nil {
		m, err := mask.New(w.values...)
		if err != nil {
			return nil, fmt.Errorf("hide secrets: %w", err)
		}
		w.masker = m
	}
	return w.masker, nil
}

// begin finds out what the log has: a runner that begins again at the first byte may have said a gigabyte by now.
func (w *logWriter) begin() error {
	if w.began {
		return nil
	}
	size, _, err := w.logs.Last(w.ctx, w.key)
	if err != nil {
		return fmt.Errorf("find the log's end: %w", err)
	}
	w.began, w.has = true, size
	return nil
}

// Resume goes on behind what the log has: who resumes writes whole lines, and they are appended whole.
func (w *logWriter) Resume() (string, error) {
	size, line, err := w.logs.Last(w.ctx, w.key)
	if err != nil {
		return "", fmt.Errorf("find the log's end: %w", err)
	}
	w.began, w.offset, w.has = true, size, size
	return strings.TrimSuffix(line, "\n"), nil
}

// Write appends p without its secrets.
func (w *logWriter) Write(p []byte) (int, error) {
	if w.masked == nil {
		m, err := w.hide()
		if err != nil {
			return 0, err
		}
		if err := w.begin(); err != nil {
			return 0, err
		}
		w.masked = m.Writer(appender{w})
	}
	return w.masked.Write(p)
}

// close appends what was held back: no more comes.
func (w *logWriter) close() error {
	if w.masked == nil {
		return nil
	}
	return w.masked.Close()
}

// appender is the end of a logWriter that knows the log.
type appender struct{ *logWriter }

func (a appender) Write(p []byte) (int, error) {
	if end := a.offset + int64(len(p)); end <= a.has {
		a.offset = end
		return len(p), nil
	}
	if err := a.logs.Append(a.ctx, a.key, a.offset, p); err != nil {
		return 0, fmt.Errorf("append to log: %w", err)
	}
	a.offset += int64(len(p))
	return len(p), nil
}

// bare is what is hidden at the beginning of a plain scalar. YAML reads a star there as an alias.
var bare = regexp.MustCompile(`(?m)(: |- )(\*\*\*[^'\n]*)$`)

// keep writes YAML beside the attempt's output. What was kept first stays: whoever comes after a crash may have seen
// something else.
func (w *logWriter) keep(kind logs.Kind, text []byte) error {
	m, err := w.hide()
	if err != nil {
		return err
	}
	key := w.key
	key.Kind = kind
	size, _, err := w.logs.Last(w.ctx, key)
	if err == nil && size == 0 {
		masked := bare.ReplaceAllString(m.Text(string(text)), "$1'$2'")
		err = w.logs.Append(w.ctx, key, 0, []byte(masked))
	}
	return errors.Join(err, w.logs.End(w.ctx, key))
}

// kept is what keep has kept first.
func (w *logWriter) kept(kind logs.Kind) ([]byte, error) {
	key := w.key
	key.Kind = kind
	var text []byte
	for {
		chunk, err := w.logs.Read(w.ctx, key, int64(len(text)), 0)
		if err != nil {
			return nil, fmt.Errorf("read what is kept: %w", err)
		}
		text = append(text, chunk.Data...)
		if chunk.Ended || len(chunk.Data) == 0 {
			return text, nil
		}
	}
}
