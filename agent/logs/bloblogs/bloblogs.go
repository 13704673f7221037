// Package bloblogs keeps logs in a bucket: while a job runs, what is too old for Redis; afterwards all of it. The worker,
// the API and the page call it through package logs; it calls the live logs in Redis and the bucket. It refuses to start
// anything: what it does, it does while somebody appends, ends or reads, so that nothing is left running by a kill.
//
// Where a byte lies is known from the stream in Redis alone: what comes before its first entry is in the bucket, in
// parts of equal size that are named by their number. A log only grows, so a part has the same bytes whoever writes it
// and how often. The order of saving, of which each step may be the last one and all may be done again by anybody:
//
//	append   1. into the stream                      ended   1. the mark into the stream: nobody appends any more
//	         2. more than 4 MiB there: the next              2. the parts and the stream into one object, which
//	            part into the bucket                            is there as a whole or not at all
//	         3. what the part has out of the stream          3. the parts away
//	                                                         4. all but the mark out of the stream
//
// So nothing is dropped anywhere before it is somewhere else, and a mark that stands alone says that all is done.
// Late appends and readers find the mark for an hour, which wakes followers and costs no request to the bucket. When it
// is gone, or Redis forgot everything, the object says the same: where the stream is missing, it is asked for before
// anything is begun.
package bloblogs

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/millrace-ci/millrace/agent/logs"
)

const (
	partSize = 2 << 20   // bytes of a part; the stream keeps twice as much
	maxPiece = 1 << 20   // bytes that are appended before somebody looks how long the stream is
	maxRead  = 256 << 10 // bytes that one Read returns

	// nowhere is an offset at which nothing lies: who looks there wants to know only what there is.
	nowhere = math.MaxInt64
)

// Live is where logs are while jobs run. redislogs.Logs is one.
type Live interface {
	// Add is Append of logs.Logs, and tells what is held afterwards, also with logs.ErrGap.
	Add(ctx context.Context, k logs.Key, offset int64, data []byte) (logs.Held, error)
	// Look returns what lies at offset now, and what is held. Nothing lies before Held.From.
	Look(ctx context.Context, k logs.Key, offset int64) (logs.Chunk, logs.Held, error)
	// Wait returns when a log of that size grew or ended, or when the time is over.
	Wait(ctx context.Context, k logs.Key, size int64, wait time.Duration) error
	// End is that of logs.Logs.
	End(ctx context.Context, k logs.Key) error
	// Cut drops what lies before offset, of a log that has ended all if it is beyond the end, and tells what is left. It
	// keeps the end of a log that has not ended, and how long the log is.
	Cut(ctx context.Context, k logs.Key, offset int64) (logs.Held, error)
	// Size is that of logs.Logs, of what was not cut.
	Size(ctx context.Context, run string, keys []logs.Key) (int64, error)
	// Forget is that of logs.Logs.
	Forget(ctx context.Context, run string, keys []logs.Key) error
}

// Logs keeps the contract of logs.Logs. Any number of Logs, in any number of processes, may share one Live and one
// bucket; it must be the same bucket.
type Logs struct {
	live   Live
	bucket *blob.Bucket
	part   int64 // bytes of a part: all who share a bucket say the same
}

// New returns logs that run in live and are kept in bucket, which stays the caller's to close. It asks neither.
func New(live Live, bucket *blob.Bucket) *Logs {
	return &Logs{live: live, bucket: bucket, part: partSize}
}

// object names where the log of k is kept: RUN/TASK.ATTEMPT.log, or .manifest, .evidence. So what is kept of a run is
// found by one prefix, and how long it has been kept by the time of the object. Parts are named after it, and so is
// what a writer that was killed leaves in a folder that is a bucket: who removes a run removes its prefix.
func object(k logs.Key) (string, error) {
	kind := string(k.Kind)
	if k.Kind == logs.Output {
		kind = "log"
	}
	if !plain(k.Run) || !plain(k.Task) || !plain(kind) || k.Attempt < 0 {
		return "", fmt.Errorf("%q, %q and %q are not the names of a run, a task and a kind", k.Run, k.Task, k.Kind)
	}
	return fmt.Sprintf("%s/%s.%d.%s", k.Run, k.Task, k.Attempt, kind), nil
}

// plain tells whether s may stand in the name of an object: it means nothing to a file system.
func plain(s string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return s != "" && len(s) <= 128 && s[0] != '.' && strings.Trim(s, letters+"._-") == ""
}

// parts is what the names of the parts of an object begin with.
func parts(object string) string { return object + ".part-" }

func part(object string, n int64) string { return fmt.Sprintf("%s%06d", parts(object), n) }
