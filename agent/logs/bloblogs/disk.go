package bloblogs

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// onDisk makes an object survive the loss of power where the bucket is a folder: fileblob writes and renames a file,
// and does not wait for the disk, while Redis is told next to drop what the file holds. For other buckets it does
// nothing: what they acknowledge they keep.
type onDisk struct {
	file *os.File // a second handle of the file that is written; nil: there is none
}

// hold is blob.WriterOptions.BeforeWrite.
func (d *onDisk) hold(as func(any) bool) error {
	var written *os.File
	if !as(&written) {
		return nil
	}
	fd, err := syscall.Dup(int(written.Fd()))
	if err != nil {
		return err
	}
	d.file = os.NewFile(uintptr(fd), written.Name())
	return nil
}

// sync waits until the file and its name are on the disk: the file lies in its run's folder, in that of all.
func (d *onDisk) sync() error {
	if d.file == nil {
		return nil
	}
	folder := filepath.Dir(d.file.Name())
	return errors.Join(d.file.Sync(), syncFolder(folder), syncFolder(filepath.Dir(folder)))
}

func (d *onDisk) close() error {
	if d.file == nil {
		return nil
	}
	return d.file.Close()
}

func syncFolder(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
