package bloblogs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/millrace-ci/millrace/internal/ondisk"
)

// write makes an object of what fill writes, whole or not at all.
func (s *Logs) write(ctx context.Context, name string, fill func(io.Writer) error) error {
	ctx, abandon := context.WithCancel(ctx)
	defer abandon()
	var disk ondisk.Object
	to, err := s.bucket.NewWriter(ctx, name, &blob.WriterOptions{ContentType: "text/plain; charset=utf-8", BeforeWrite: disk.Hold})
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err = fill(to); err != nil {
		abandon()
		_ = to.Close() // says only that it was abandoned
	} else if err = to.Close(); err == nil {
		err = disk.Sync()
	}
	if err = errors.Join(err, disk.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// copy appends an object from an offset on to to.
func (s *Logs) copy(ctx context.Context, to io.Writer, name string, offset int64) error {
	from, err := s.bucket.NewRangeReader(ctx, name, offset, -1, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, from.Close())
}

// read returns what an object has at an offset, at most so many bytes, and the object's size.
func (s *Logs) read(ctx context.Context, name string, offset, most int64) (data []byte, size int64, err error) {
	from, err := s.bucket.NewRangeReader(ctx, name, offset, most, nil)
	if err != nil && !missing(err) {
		// Some buckets refuse to read where nothing lies.
		if size, sizeErr := s.size(ctx, name); sizeErr == nil && offset >= size {
			return nil, size, nil
		}
	}
	if err != nil {
		return nil, 0, err
	}
	data, err = io.ReadAll(from)
	return data, from.Size(), errors.Join(err, from.Close())
}

func (s *Logs) size(ctx context.Context, name string) (int64, error) {
	attributes, err := s.bucket.Attributes(ctx, name)
	if err != nil {
		return 0, err
	}
	return attributes.Size, nil
}

func (s *Logs) exists(ctx context.Context, name string) (bool, error) {
	there, err := s.bucket.Exists(ctx, name)
	if err != nil {
		return false, fmt.Errorf("ask bucket for %s: %w", name, err)
	}
	return there, nil
}

// lists is how often a page of a bucket is asked for at most: a folder's fails where a file goes while it is read.
const lists = 10

// each does something with each object whose name begins with prefix. An object that is gone by then is no error:
// somebody else removes them, too.
func (s *Logs) each(ctx context.Context, prefix string, do func(*blob.ListObject) error) error {
	objects := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for asked := 1; ; asked++ {
		o, err := objects.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && missing(err) && asked < lists:
			continue
		case err != nil:
			return err // as of a bucket that is not there, which asking again does not mend
		}
		if err := do(o); err != nil && !missing(err) {
			return err
		}
		asked = 0
	}
}

// removeAll removes the objects whose names begin with prefix.
func (s *Logs) removeAll(ctx context.Context, prefix string) error {
	err := s.each(ctx, prefix, func(o *blob.ListObject) error { return s.bucket.Delete(ctx, o.Key) })
	if err != nil {
		return fmt.Errorf("remove %s*: %w", prefix, err)
	}
	return nil
}

func missing(err error) bool { return gcerrors.Code(err) == gcerrors.NotFound }
