package bloblogs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/blob"

	"github.com/millrace-ci/millrace/agent/logs"
)

// End keeps the contract, and returns when the log is kept: whoever is killed before leaves the rest to who calls it
// again. Four round trips to Redis and one to the bucket for a log of up to 256 KiB. A larger one is written as it is
// read, in pieces of 256 KiB from Redis and part by part from the bucket: memory does not grow with it. Ending again
// what is kept makes one round trip while Redis has the mark, and then one more to the bucket.
func (s *Logs) End(ctx context.Context, k logs.Key) error {
	name, err := object(k)
	if err != nil {
		return fmt.Errorf("end log: %w", err)
	}
	_, held, err := s.live.Look(ctx, k, nowhere)
	if err != nil {
		return err
	}
	if !held.Found() {
		if ended, err := s.exists(ctx, name); ended || err != nil {
			return err
		}
	}
	if moved(held) {
		return nil
	}
	if err := s.live.End(ctx, k); err != nil {
		return err
	}
	if err := s.keep(ctx, k, name); err != nil {
		return fmt.Errorf("keep log of %s/%s: %w", k.Run, k.Task, err)
	}
	return nil
}

// moved tells whether the mark stands alone: the object is there, and nothing is left to do. A log without a byte looks
// like that from the beginning, and so proves nothing.
func moved(held logs.Held) bool { return held.Ended && held.From == held.To && held.To > 0 }

// keep makes one object of a log that has ended, and lets go of everything else.
func (s *Logs) keep(ctx context.Context, k logs.Key, name string) error {
	var size int64
	err := s.write(ctx, name, func(to io.Writer) (err error) {
		size, err = s.join(ctx, to, k, name)
		return err
	})
	if err != nil { // maybe because somebody else was faster, and removes already what is to be joined
		if there, lookErr := s.exists(ctx, name); !there {
			return errors.Join(err, lookErr)
		}
	}
	if err != nil || size > 2*s.part {
		if err := s.removeAll(ctx, parts(name)); err != nil {
			return err
		}
	}
	_, err = s.live.Cut(ctx, k, nowhere)
	return err
}

// join writes the whole of a log that has ended to to, from wherever its bytes lie, and tells how long it is.
func (s *Logs) join(ctx context.Context, to io.Writer, k logs.Key, name string) (int64, error) {
	for at := int64(0); ; {
		c, held, err := s.live.Look(ctx, k, at)
		switch {
		case err != nil:
			return 0, err
		case !held.Ended || moved(held): // Redis lost it just now, or somebody else is done
			return 0, errElsewhere
		case at < held.From:
			n := at / s.part
			if err := s.copy(ctx, to, part(name, n), at-n*s.part); err != nil {
				return 0, fmt.Errorf("read %s: %w", part(name, n), err)
			}
			at = (n + 1) * s.part
			continue
		}
		if _, err := to.Write(c.Data); err != nil {
			return 0, err
		}
		if at = c.Next; c.Ended {
			return at, nil
		}
	}
}

// Size keeps the contract. One round trip to Redis and one to the bucket, for a list.
func (s *Logs) Size(ctx context.Context, run string, keys []logs.Key) (int64, error) {
	if !plain(run) {
		return 0, fmt.Errorf("size of logs: %q is not the name of a run", run)
	}
	size, err := s.live.Size(ctx, run, keys)
	if err != nil {
		return 0, err
	}
	err = s.each(ctx, run+"/", func(o *blob.ListObject) error { size += o.Size; return nil })
	if err != nil {
		return 0, fmt.Errorf("size of the logs of %s: %w", run, err)
	}
	return size, nil
}

// Forget keeps the contract. One round trip to Redis, one to the bucket for a list, and one for each object that is there:
// all that begins with the name of the run, also what a writer left that was killed.
func (s *Logs) Forget(ctx context.Context, run string, keys []logs.Key) error {
	if !plain(run) {
		return fmt.Errorf("forget logs: %q is not the name of a run", run)
	}
	if err := s.live.Forget(ctx, run, keys); err != nil {
		return err
	}
	return s.removeAll(ctx, run+"/")
}
