package ondisk_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/millrace-ci/millrace/internal/ondisk"
)

// TestObject writes to a folder, where there is a file to wait for, and to a bucket where there is none.
func TestObject(t *testing.T) {
	t.Parallel()
	folder, err := fileblob.OpenBucket(t.TempDir(), &fileblob.Options{NoTempDir: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []*blob.Bucket{folder, memblob.OpenBucket(nil)} {
		var o ondisk.Object
		if err := bucket.WriteAll(t.Context(), "run/unit.1.log", []byte("ok"), &blob.WriterOptions{BeforeWrite: o.Hold}); err != nil {
			t.Fatal(err)
		}
		if err := o.Sync(); err != nil {
			t.Errorf("sync: %v", err)
		}
		if err := o.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// TestObjectThatLostItsFolder is told that what was written is not there to be waited for.
func TestObjectThatLostItsFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{NoTempDir: true})
	if err != nil {
		t.Fatal(err)
	}
	var o ondisk.Object
	if err := bucket.WriteAll(context.Background(), "run/unit.1.log", []byte("ok"), &blob.WriterOptions{BeforeWrite: o.Hold}); err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := os.RemoveAll(filepath.Join(dir, "run")); err != nil {
		t.Fatal(err)
	}
	if err := o.Sync(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that the folder is missing", err)
	}
}
