// Package logs keeps the output of tasks: one log per attempt, appended while the job runs, read and followed by byte
// offset, and beside it what else is kept of an attempt as text. The worker appends, the API and the page read.
// redislogs (live) and bloblogs (kept) and memlogs keep the contract, logstest holds its laws. It neither masks nor
// parses: what arrives here may be shown.
package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrGap means that data was appended beyond the end of the log: what lies between is missing.
var ErrGap = errors.New("log has a gap")

// MaxSize bounds one log in bytes where it is kept in a bucket. What comes after is dropped, and the log ends with a line
// that says so. A build that prints a megabyte a second for a quarter of an hour fits; a job that prints for ever does
// not fill the bucket.
const MaxSize = 1 << 30

// MaxLine is how long a line may be that Last finds, with its line break: four times what a runner writes at most.
const MaxLine = 256 << 10

// Full is what a log ends with that may have maxSize bytes, a whole number of MiB, and would have had more.
func Full(maxSize int64) string {
	return fmt.Sprintf("\n[millrace: this log is longer than %d MiB; what follows was dropped]\n", maxSize>>20)
}

// Key names one log of one attempt.
type Key struct {
	Run     string
	Task    string
	Attempt int
	Kind    Kind
}

// Kind is what of an attempt a log holds.
type Kind string

// The kinds.
const (
	Output   Kind = ""         // what the job printed, as lines `<RFC 3339 nanoseconds UTC> <container> <text>`
	Manifest Kind = "manifest" // the job as it was made, YAML
	Evidence Kind = "evidence" // what the runner saw of it last, YAML
)

// Logs keeps logs. All methods are safe for concurrent use.
type Logs interface {
	// Append adds data whose first byte is at offset. What the log has already of it is left out, so a writer that
	// starts again from the first byte adds nothing twice. Errors: ErrGap.
	Append(ctx context.Context, k Key, offset int64, data []byte) error
	// End says that nothing more comes: readers that wait are told.
	End(ctx context.Context, k Key) error
	// Last returns the size of the log in bytes and its last whole line with its line break: where a writer that cannot
	// start again from the first byte goes on. The line is "" if none ends, and began, within the last MaxLine bytes.
	Last(ctx context.Context, k Key) (size int64, line string, err error)
	// Read returns what lies at offset, at most 256 KiB. Where nothing lies there yet and the log has not ended it waits for up
	// to wait. A log that never was reads as empty and not ended.
	Read(ctx context.Context, k Key, offset int64, wait time.Duration) (Chunk, error)
	// Size returns how many bytes are kept of the logs of a run; keys are all that it may have.
	Size(ctx context.Context, run string, keys []Key) (int64, error)
	// Forget removes the logs of a run to which nobody appends any more; keys are all that it may have. What is not there
	// is no error, so that it can be done again.
	Forget(ctx context.Context, run string, keys []Key) error
}

// Chunk is a piece of a log.
type Chunk struct {
	Data  []byte
	Next  int64 // offset of what follows Data
	Ended bool  // nothing follows, now or later
}

// Held is what of a log lies where it is written to while the job runs.
type Held struct {
	From, To int64 // these bytes: To is the size of the log, and what lies before From was moved to where logs are kept
	Ended    bool  // nothing comes after To
}

// Found tells whether the log is known there at all: it may have been kept, and forgotten there, long ago.
func (h Held) Found() bool { return h.To > 0 || h.Ended }

// LastLine is the last whole line in tail, which are the last bytes of a log, or the whole of it.
func LastLine(tail []byte, whole bool) string {
	if len(tail) > MaxLine {
		tail, whole = tail[len(tail)-MaxLine:], false
	}
	end := bytes.LastIndexByte(tail, '\n') + 1
	begin := bytes.LastIndexByte(tail[:max(end-1, 0)], '\n') + 1
	if begin == 0 && !whole {
		return ""
	}
	return string(tail[begin:end])
}
