package bucketinbox_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/bucketinbox"
	"github.com/millrace-ci/millrace/triggers/inbox/inboxtest"
	"github.com/millrace-ci/millrace/triggers/inbox/meminbox"
	"github.com/millrace-ci/millrace/triggers/inbox/redisinbox"
)

func TestLawsInMemory(t *testing.T) {
	t.Parallel()
	inboxtest.Run(t, func(t *testing.T) inbox.Inbox {
		bucket := memblob.OpenBucket(nil)
		closeAtEnd(t, bucket)
		return bucketinbox.New(meminbox.New(), bucket)
	})
}

func TestLawsInRedisAndFiles(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	inboxtest.Run(t, func(t *testing.T) inbox.Inbox {
		if err := rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		behind, err := redisinbox.New(redisinbox.Config{Rdb: rdb})
		if err != nil {
			t.Fatal(err)
		}
		bucket, _ := files(t)
		return bucketinbox.New(behind, bucket)
	})
}

func TestLargeBodiesOnlyAreInTheBucket(t *testing.T) {
	t.Parallel()
	behind, dir, in := open(t)
	keep(t, in, delivery("small", bucketinbox.LargeBody))
	if got := objects(t, dir); len(got) != 0 {
		t.Errorf("a body of %d bytes: the bucket holds %v, want nothing", bucketinbox.LargeBody, got)
	}
	keep(t, in, delivery("large", bucketinbox.LargeBody+1))
	got := objects(t, dir)
	if len(got) != 1 {
		t.Fatalf("a body of %d bytes: the bucket holds %v, want one object", bucketinbox.LargeBody+1, got)
	}
	if r, err := behind.Get(t.Context(), "large"); err != nil || r.Body != nil || r.Object == "" {
		t.Errorf("the inbox behind keeps %d bytes of body in object %q, %v, want its name only", len(r.Body), r.Object, err)
	}
	if info, err := os.Stat(got[0]); err != nil || info.Size() > bucketinbox.LargeBody/10 {
		t.Errorf("the object: %v, %v, want it compressed", info, err)
	}
}

// TestObjectThatGrows: what was put into the place of an object does not take all memory.
func TestObjectThatGrows(t *testing.T) {
	t.Parallel()
	_, dir, in := open(t)
	keep(t, in, delivery("large", 1<<20))
	var bomb bytes.Buffer
	z, err := zstd.NewWriter(&bomb)
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for range 300 {
		_, _ = z.Write(chunk) // to memory
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects(t, dir) {
		if err := os.WriteFile(o, bomb.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := in.Get(t.Context(), "large"); err == nil {
		t.Errorf("%d bytes grew to %d", bomb.Len(), len(r.Body))
	}
}

func TestMissingObject(t *testing.T) {
	t.Parallel()
	_, dir, in := open(t)
	keep(t, in, delivery("large", 1<<20))
	for _, o := range objects(t, dir) {
		if err := os.Remove(o); err != nil {
			t.Fatal(err)
		}
	}
	_, err := in.Get(t.Context(), "large")
	if err == nil || errors.Is(err, inbox.ErrNotFound) || !strings.Contains(err.Error(), "object deliveries/large/") {
		t.Errorf("got %v, want an error that names the object", err)
	}
}

func TestTrimRemovesWhatNobodyNames(t *testing.T) {
	t.Parallel()
	behind, dir, in := open(t)
	for _, id := range []string{"unplanned", "settled"} {
		keep(t, in, delivery(id, 1<<20))
	}
	duplicate := delivery("unplanned", 2<<20)
	if r := keep(t, in, duplicate); !r.Duplicate {
		t.Fatalf("got %+v, want a duplicate", r)
	}
	crashed := bucketinbox.New(crashing{behind}, in.bucket)
	if _, err := crashed.Keep(t.Context(), delivery("crashed", 1<<20)); err == nil {
		t.Fatal("the inbox that crashes did not")
	}
	if err := in.Settle(t.Context(), "settled", inbox.Outcome{At: noon}); err != nil {
		t.Fatal(err)
	}
	trim := func(wantForgotten, wantObjects int) {
		t.Helper()
		n, err := in.Trim(t.Context(), noon.Add(time.Hour), 0)
		if got := objects(t, dir); err != nil || n != wantForgotten || len(got) != wantObjects {
			t.Errorf("forgot %d, %v, and left %v; want %d forgotten and %d objects", n, err, got, wantForgotten, wantObjects)
		}
	}
	trim(1, 4) // they are too young
	for _, o := range objects(t, dir) {
		if err := os.Chtimes(o, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	keep(t, in, delivery("young", 1<<20))
	trim(0, 2)
	for id, want := range map[string]triggers.Delivery{"unplanned": delivery("unplanned", 1<<20), "young": delivery("young", 1<<20)} {
		if r, err := in.Get(t.Context(), id); err != nil || !bytes.Equal(r.Body, want.Body) {
			t.Errorf("%s: got %d bytes, %v, want its body", id, len(r.Body), err)
		}
	}
}

func TestBucketDown(t *testing.T) {
	t.Parallel()
	behind := meminbox.New()
	bucket := memblob.OpenBucket(nil)
	if err := bucket.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := bucketinbox.New(behind, bucket).Keep(t.Context(), delivery("d", 1<<20)); err == nil {
		t.Error("keep: got no error")
	}
	if _, err := behind.Get(t.Context(), "d"); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("a delivery without its body is kept: %v", err)
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// delivery has a body of size bytes.
func delivery(id string, size int) triggers.Delivery {
	body := []byte(strings.Repeat(`{"a":1} `, size/8+1)[:size])
	return triggers.Delivery{ID: id, Forge: "hub", Key: id, Kind: "push", Body: body, At: noon}
}

// opened is an inbox and its bucket.
type opened struct {
	*bucketinbox.Inbox
	bucket *blob.Bucket
}

// open returns an inbox, the one behind it, and the folder of its bucket.
func open(t *testing.T) (inbox.Inbox, string, opened) {
	t.Helper()
	behind := meminbox.New()
	bucket, dir := files(t)
	return behind, dir, opened{bucketinbox.New(behind, bucket), bucket}
}

// files is a bucket in a folder.
func files(t *testing.T) (*blob.Bucket, string) {
	t.Helper()
	dir := t.TempDir()
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{Metadata: fileblob.MetadataDontWrite, NoTempDir: true})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, bucket)
	return bucket, dir
}

func closeAtEnd(t *testing.T, bucket *blob.Bucket) {
	t.Helper()
	t.Cleanup(func() {
		if err := bucket.Close(); err != nil {
			t.Errorf("close bucket: %v", err)
		}
	})
}

// objects are the files of all objects in a bucket.
func objects(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "deliveries", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func keep(t *testing.T, in inbox.Inbox, d triggers.Delivery) inbox.Receipt {
	t.Helper()
	r, err := in.Keep(t.Context(), d)
	if err != nil {
		t.Fatalf("keep %s: %v", d.ID, err)
	}
	return r
}

// crashing is an inbox that ends before it keeps anything.
type crashing struct{ inbox.Inbox }

func (crashing) Keep(context.Context, triggers.Delivery) (inbox.Receipt, error) {
	return inbox.Receipt{}, errors.New("killed")
}
