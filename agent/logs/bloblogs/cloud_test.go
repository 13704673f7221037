package bloblogs_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/logs/bloblogs"
)

var (
	errNotThere = errors.New("no such object")
	errRange    = errors.New("the range cannot be satisfied") // as S3 says where nothing lies
	errKilled   = errors.New("killed")
)

// cloud is objects as a store over the network has them: written when the writer closes, listed a few at a time, and
// not read beyond their end.
type cloud struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func newCloud() *cloud { return &cloud{objects: map[string][]byte{}} }

// names are those of all objects.
func (c *cloud) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.objects))
}

func (c *cloud) get(key string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	data, ok := c.objects[key]
	if !ok {
		return nil, errNotThere
	}
	return data, nil
}

// bucket is the cloud as a process sees it.
func (c *cloud) bucket(t testing.TB, l *life) *blob.Bucket {
	t.Helper()
	return closed(t, blob.NewBucket(&connection{c, l}))
}

// life is that of a process, which ends in the middle: after so many steps, of which others may see the effect. A nil
// one does not end.
type life struct {
	mu    sync.Mutex
	left  int
	count int // of steps made
}

func (l *life) step(do func() error) error {
	if l == nil {
		return do()
	}
	l.mu.Lock()
	l.left--
	l.count++
	left := l.left
	l.mu.Unlock()
	if left < 0 {
		return errKilled
	}
	if err := do(); left > 0 {
		return err
	}
	return errKilled // it does not hear the answer
}

// connection is a process's to the cloud.
type connection struct {
	*cloud
	life *life
}

func (c *connection) ErrorCode(err error) gcerrors.ErrorCode {
	if errors.Is(err, errNotThere) {
		return gcerrors.NotFound
	}
	return gcerrors.Unknown
}

func (c *connection) Attributes(_ context.Context, key string) (a *driver.Attributes, err error) {
	err = c.life.step(func() error {
		data, err := c.get(key)
		a = &driver.Attributes{ContentType: "text/plain", Size: int64(len(data)), ModTime: time.Unix(1, 0)}
		return err
	})
	return a, err
}

func (c *connection) ListPaged(_ context.Context, opts *driver.ListOptions) (page *driver.ListPage, err error) {
	err = c.life.step(func() error {
		page = &driver.ListPage{}
		for _, name := range c.names() {
			if !strings.HasPrefix(name, opts.Prefix) || name <= string(opts.PageToken) {
				continue
			}
			if len(page.Objects) == 2 {
				page.NextPageToken = []byte(page.Objects[1].Key)
				break
			}
			data, _ := c.get(name)
			page.Objects = append(page.Objects, &driver.ListObject{Key: name, Size: int64(len(data))})
		}
		return nil
	})
	return page, err
}

func (c *connection) NewRangeReader(_ context.Context, key string, offset, length int64, _ *driver.ReaderOptions) (r driver.Reader, err error) {
	err = c.life.step(func() error {
		data, err := c.get(key)
		if err == nil && offset >= int64(len(data)) {
			err = errRange
		}
		if err != nil {
			return err
		}
		stop := int64(len(data))
		if length >= 0 {
			stop = min(stop, offset+length)
		}
		r = reader{bytes.NewReader(data[offset:stop]), int64(len(data))}
		return nil
	})
	return r, err
}

func (c *connection) NewTypedWriter(ctx context.Context, key, _ string, _ *driver.WriterOptions) (driver.Writer, error) {
	return &writer{ctx: ctx, to: c, key: key}, c.life.step(func() error { return nil })
}

func (c *connection) Delete(_ context.Context, key string, _ *driver.DeleteOptions) error {
	return c.life.step(func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if _, ok := c.objects[key]; !ok {
			return errNotThere
		}
		delete(c.objects, key)
		return nil
	})
}

func (c *connection) As(any) bool             { return false }
func (c *connection) ErrorAs(error, any) bool { return false }
func (c *connection) Close() error            { return nil }

func (c *connection) Copy(context.Context, string, string, *driver.CopyOptions) error {
	return errors.ErrUnsupported
}

func (c *connection) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errors.ErrUnsupported
}

type reader struct {
	*bytes.Reader
	size int64
}

func (r reader) Close() error { return nil }
func (r reader) As(any) bool  { return false }
func (r reader) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{ContentType: "text/plain", Size: r.size}
}

type writer struct {
	bytes.Buffer
	ctx context.Context //nolint:containedctx // of the whole writing, as the driver's contract has it
	to  *connection
	key string
}

func (w *writer) Close() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	return w.to.life.step(func() error {
		w.to.mu.Lock()
		defer w.to.mu.Unlock()
		w.to.objects[w.key] = w.Bytes()
		return nil
	})
}

// mortal is live logs as a process with a life sees them.
type mortal struct {
	bloblogs.Live
	life *life
}

func (m mortal) Add(ctx context.Context, k logs.Key, offset int64, data []byte) (held logs.Held, err error) {
	err = m.life.step(func() error {
		held, err = m.Live.Add(ctx, k, offset, data)
		return err
	})
	return held, err
}

func (m mortal) Look(ctx context.Context, k logs.Key, offset int64) (c logs.Chunk, held logs.Held, err error) {
	err = m.life.step(func() error {
		c, held, err = m.Live.Look(ctx, k, offset)
		return err
	})
	return c, held, err
}

func (m mortal) End(ctx context.Context, k logs.Key) error {
	return m.life.step(func() error { return m.Live.End(ctx, k) })
}

func (m mortal) Cut(ctx context.Context, k logs.Key, offset int64) (held logs.Held, err error) {
	err = m.life.step(func() error {
		held, err = m.Live.Cut(ctx, k, offset)
		return err
	})
	return held, err
}
