// Package logs keeps the output of tasks: one log per attempt, appended while the job runs, read and followed by byte
// offset. The worker appends, the API and the page read. redislogs and memlogs keep the contract, logstest holds its
// laws. It neither masks nor parses: what arrives here may be shown.
package logs

import (
	"context"
	"errors"
	"time"
)

// ErrGap means that data was appended beyond the end of the log: what lies between is missing.
var ErrGap = errors.New("log has a gap")

// MaxSize bounds one attempt's log in bytes. What comes after is dropped, and the log ends with a line that says so.
const MaxSize = 16 << 20

// Full is what a log ends with after MaxSize bytes.
const Full = "\n[millrace: this log is longer than 16 MiB; what follows was dropped]\n"

// Key names one attempt's log.
type Key struct {
	Run     string
	Task    string
	Attempt int
}

// Logs keeps logs. All methods are safe for concurrent use.
type Logs interface {
	// Append adds data whose first byte is at offset. What the log has already of it is left out, so a writer that
	// starts again from the first byte adds nothing twice. Errors: ErrGap.
	Append(ctx context.Context, k Key, offset int64, data []byte) error
	// End says that nothing more comes: readers that wait are told.
	End(ctx context.Context, k Key) error
	// Read returns what lies at offset, at most 256 KiB. Where nothing lies there yet and the log has not ended it waits for up
	// to wait. A log that never was reads as empty and not ended.
	Read(ctx context.Context, k Key, offset int64, wait time.Duration) (Chunk, error)
}

// Chunk is a piece of a log.
type Chunk struct {
	Data  []byte
	Next  int64 // offset of what follows Data
	Ended bool  // nothing follows, now or later
}
