// Package bucketinbox keeps large bodies out of the inbox behind it: they go to a bucket, and the inbox keeps the name
// of the object. Whoever has an inbox calls it instead of that one; it calls the inbox behind it and the bucket, and
// never looks into a body.
package bucketinbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/millrace-ci/millrace/internal/ondisk"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
)

// LargeBody is the length in bytes over which a body goes to the bucket.
const LargeBody = 256 << 10

// folder is what the names of all objects begin with. They are deliveries/ID/DIGEST.zst.
const folder = "deliveries/"

// grace is how old an object must be until Trim takes it for left over: its delivery may be on its way to the inbox.
const grace = time.Hour

// maxBody bounds, in bytes, what an object may grow to when it is read.
const maxBody = 1 << 28

// Inbox is an inbox.Inbox. What it does not do itself the inbox behind it does.
type Inbox struct {
	inbox.Inbox
	bucket *blob.Bucket
}

// New returns an inbox that puts large bodies into bucket, which stays the caller's to close, and the rest into behind.
// It makes no round trip.
func New(behind inbox.Inbox, bucket *blob.Bucket) *Inbox {
	return &Inbox{behind, bucket}
}

// Keep is inbox.Inbox's. A large body is in the bucket before the inbox hears of it, so that a kept delivery always has
// its body. An object whose delivery was never kept, because of a crash or as a duplicate, is left to Trim: only time
// tells that nobody is about to name it.
func (i *Inbox) Keep(ctx context.Context, d triggers.Delivery) (inbox.Receipt, error) {
	if len(d.Body) <= LargeBody {
		return i.Inbox.Keep(ctx, d)
	}
	// The id alone would not do: a duplicate must not overwrite the body of the first.
	name := folder + d.ID + "/" + triggers.Digest(20, strconv.FormatInt(d.At.UnixNano(), 10), string(d.Body)) + ".zst"
	if err := i.write(ctx, name, d.Body); err != nil {
		return inbox.Receipt{}, fmt.Errorf("put body of delivery %q into the bucket: %w", d.ID, err)
	}
	d.Body, d.Object = nil, name
	return i.Inbox.Keep(ctx, d)
}

// write puts body, compressed, under name.
func (i *Inbox) write(ctx context.Context, name string, body []byte) error {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	var disk ondisk.Object
	err = i.bucket.WriteAll(ctx, name, z.EncodeAll(body, nil), &blob.WriterOptions{ContentType: "application/zstd", BeforeWrite: disk.Hold})
	if err == nil {
		err = disk.Sync()
	}
	return errors.Join(err, disk.Close())
}

// Get is inbox.Inbox's, with one read of the bucket for a large body. An object that is missing is an error that names
// it, and not inbox.ErrNotFound: the delivery is kept and its body is lost.
func (i *Inbox) Get(ctx context.Context, id string) (inbox.Record, error) {
	r, err := i.Inbox.Get(ctx, id)
	if err != nil || r.Object == "" {
		return r, err
	}
	if r.Body, err = i.read(ctx, r.Object); err != nil {
		return inbox.Record{}, fmt.Errorf("get body of delivery %q: %w", id, err)
	}
	r.Object = ""
	return r, nil
}

// read is the reverse of write.
func (i *Inbox) read(ctx context.Context, name string) ([]byte, error) {
	packed, err := i.bucket.ReadAll(ctx, name)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, fmt.Errorf("object %s is missing: it was removed, or this is not the bucket that it was put into", name)
	}
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBody))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	body, err := z.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress object %s: %w", name, err)
	}
	return body, nil
}

// Trim is inbox.Inbox's, and then removes each object that no kept delivery names and that is an hour old. It asks the
// inbox behind it about every old object, so that whatever a crash left behind goes too. What is in the bucket does not
// count for maxBytes.
func (i *Inbox) Trim(ctx context.Context, before time.Time, maxBytes int64) (int, error) {
	forgotten, err := i.Inbox.Trim(ctx, before, maxBytes)
	if err != nil {
		return forgotten, err
	}
	if err := i.sweep(ctx, time.Now().Add(-grace)); err != nil {
		return forgotten, fmt.Errorf("trim bodies in the bucket: %w", err)
	}
	return forgotten, nil
}

// sweep removes the objects written before a time that no kept delivery names.
func (i *Inbox) sweep(ctx context.Context, before time.Time) error {
	objects := i.bucket.List(&blob.ListOptions{Prefix: folder})
	for {
		o, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !o.ModTime.Before(before) {
			continue
		}
		if err := i.removeUnnamed(ctx, o.Key); err != nil {
			return err
		}
	}
}

// removeUnnamed removes the object name unless a kept delivery names it.
func (i *Inbox) removeUnnamed(ctx context.Context, name string) error {
	id, _, _ := strings.Cut(strings.TrimPrefix(name, folder), "/")
	r, err := i.Inbox.Get(ctx, id)
	if err != nil && !errors.Is(err, inbox.ErrNotFound) {
		return err
	}
	if r.Object == name {
		return nil
	}
	if err := i.bucket.Delete(ctx, name); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("remove object %s: %w", name, err)
	}
	return nil
}
