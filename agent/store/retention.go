package store

import (
	"context"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
)

// Retention is how runs are forgotten: those that are too old, and the oldest of those that together hold too much. What
// a run holds is counted once, when it is settled: it does not grow any more then. So neither a save nor a look at what
// is too much costs more when more runs are kept.
type Retention interface {
	// Old returns at most limit ids of runs that were created before that time, oldest first, beginning after cursor; next
	// is "" at the end. Errors: ErrCursor.
	Old(ctx context.Context, before time.Time, cursor string, limit int) (ids []string, next string, err error)
	// Missed looks at no more than limit runs from after cursor on, and makes those uncounted that a Millrace settled which
	// counts nothing; next is "" at the end. It is for once, before the first Uncounted, and harmless later. Errors: ErrCursor.
	Missed(ctx context.Context, cursor string, limit int) (next string, err error)
	// Uncounted returns at most limit ids of settled runs that are not counted, oldest first, beginning after cursor; next
	// is "" at the end. Errors: ErrCursor.
	Uncounted(ctx context.Context, cursor string, limit int) (ids []string, next string, err error)
	// Count counts what a settled run holds in the store, and elsewhere so many bytes. Counting it again replaces what was
	// counted before. Errors: ErrUnsettled, ErrConflict, ErrNotFound.
	Count(ctx context.Context, r run.Run, elsewhere int64) error
	// Over returns the oldest counted runs without which the others hold at most that many bytes, at most limit of them.
	Over(ctx context.Context, most int64, limit int) (ids []string, err error)
	// Delete forgets a run that is settled, with its snapshot, its places in the lists and what was counted. One that is
	// not there is no error, so that it can be done again. Errors: ErrUnsettled, ErrConflict.
	Delete(ctx context.Context, r run.Run) error
}
