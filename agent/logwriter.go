package agent

import (
	"context"
	"fmt"

	"github.com/millrace-ci/millrace/agent/logs"
)

// logWriter is the runners.Log of one attempt: it appends what a runner writes. Because a runner begins at the first
// byte each time, and the log leaves out what it has, a joined job's log goes on where it was.
type logWriter struct {
	ctx    context.Context // of the watching: the io.Writer that runners know takes none
	logs   logs.Logs
	key    logs.Key
	offset int64
}

// Write appends p.
func (w *logWriter) Write(p []byte) (int, error) {
	if err := w.logs.Append(w.ctx, w.key, w.offset, p); err != nil {
		return 0, fmt.Errorf("append to log: %w", err)
	}
	w.offset += int64(len(p))
	return len(p), nil
}
