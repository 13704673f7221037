package bloblogs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/millrace-ci/millrace/agent/logs"
)

// Append keeps the contract. One round trip to Redis for each MiB of data, one at least. The first append to a log makes
// one more, and where Redis does not know the log one to the bucket, which may have it. Each 2 MiB, beyond the first 4,
// are read from Redis in pieces of 256 KiB and written to the bucket, as long as the caller waits: where the bucket is
// away, that is an error although the data is kept, so that Redis does not fill up. Append then again.
func (s *Logs) Append(ctx context.Context, k logs.Key, offset int64, data []byte) error {
	name, err := object(k)
	if err != nil {
		return fmt.Errorf("append to log: %w", err)
	}
	if offset == 0 { // it would begin a log that ended long ago
		if ended, err := s.forgotten(ctx, k, name); ended || err != nil {
			return err
		}
	}
	for {
		piece := data[:min(len(data), maxPiece)]
		held, err := s.live.Add(ctx, k, offset, piece)
		if errors.Is(err, logs.ErrGap) && !held.Found() {
			if ended, lookErr := s.exists(ctx, name); ended || lookErr != nil {
				return lookErr
			}
		}
		if err != nil {
			return err
		}
		if err := s.shrink(ctx, k, name, held); err != nil {
			return fmt.Errorf("move log of %s/%s to the bucket: %w", k.Run, k.Task, err)
		}
		data, offset = data[len(piece):], offset+int64(len(piece))
		if len(data) == 0 {
			return nil
		}
	}
}

// forgotten tells whether Redis does not know the log any more, because it ended and is kept.
func (s *Logs) forgotten(ctx context.Context, k logs.Key, name string) (bool, error) {
	_, held, err := s.live.Look(ctx, k, nowhere)
	if err != nil || held.Found() {
		return false, err
	}
	return s.exists(ctx, name)
}

// shrink moves parts to the bucket until the stream holds no more than it should.
func (s *Logs) shrink(ctx context.Context, k logs.Key, name string, held logs.Held) error {
	for held.To-held.From > 2*s.part {
		// An entry may lie across where parts meet, and stays for the later one: what begins within a part was moved.
		n := (held.From + s.part - 1) / s.part
		err := s.move(ctx, k, part(name, n), logs.Held{From: n * s.part, To: (n + 1) * s.part})
		switch {
		case errors.Is(err, errElsewhere):
			_, held, err = s.live.Look(ctx, k, nowhere)
		case err == nil:
			held, err = s.live.Cut(ctx, k, (n+1)*s.part)
			if err == nil && held.Ended { // meanwhile, and who ended it may have removed the parts before this one came
				return s.keep(ctx, k, name)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errElsewhere means that what was to be moved is not in the stream any more: somebody else moved it.
var errElsewhere = errors.New("redis does not hold it any more")

// move copies what from the stream to a part.
func (s *Logs) move(ctx context.Context, k logs.Key, part string, what logs.Held) error {
	return s.write(ctx, part, func(to io.Writer) error {
		for at := what.From; at < what.To; {
			c, _, err := s.live.Look(ctx, k, at)
			if err != nil {
				return err
			}
			if len(c.Data) == 0 {
				return errElsewhere
			}
			if _, err := to.Write(c.Data[:min(int64(len(c.Data)), what.To-at)]); err != nil {
				return err
			}
			at = c.Next
		}
		return nil
	})
}
