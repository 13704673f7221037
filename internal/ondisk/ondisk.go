// Package ondisk makes what is written to a folder survive the loss of power: who writes a file waits for the disk, and
// for the folders that have its name. The adapters that keep things in a bucket call it, because fileblob, the bucket
// that is a folder, writes and renames without waiting. It knows nothing of what is kept.
package ondisk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Object is one object that is written to a bucket. In a folder it is a file, of which Object holds a second handle; of
// other buckets it holds nothing: what they acknowledge they keep. The zero Object is ready; it is for one goroutine.
type Object struct {
	file *os.File
}

// Hold is blob.WriterOptions.BeforeWrite.
func (o *Object) Hold(as func(any) bool) error {
	var written *os.File
	if !as(&written) {
		return nil
	}
	fd, err := syscall.Dup(int(written.Fd()))
	if err != nil {
		return err
	}
	o.file = os.NewFile(uintptr(fd), written.Name())
	return nil
}

// Sync waits, once the object has its name, until it is on the disk: the file, the folder that it lies in, and the one
// that this lies in, which may both be new.
func (o *Object) Sync() error {
	if o.file == nil {
		return nil
	}
	folder := filepath.Dir(o.file.Name())
	return errors.Join(o.file.Sync(), Folder(folder), Folder(filepath.Dir(folder)))
}

// Close gives the handle back, also of an object that was abandoned.
func (o *Object) Close() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}

// Folder waits until the names in a folder are on the disk.
func Folder(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
