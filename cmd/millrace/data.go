package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// dataFolder is the folder of one agent: it is locked while the agent lives, and gives it a lasting id.
type dataFolder struct {
	path string
	id   string // 26 characters; the same for every agent that lived here, and for no other
	lock *os.File
}

// openData makes the folder if there is none, and locks it.
func openData(path string) (*dataFolder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("data folder %s is in use by another millrace: give this one a folder of its own (data:)", path)
	}
	id, err := lastingID(filepath.Join(path, "id"))
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &dataFolder{path: path, id: id, lock: lock}, nil
}

// close unlocks the folder.
func (d *dataFolder) close() { _ = d.lock.Close() }

// lastingID reads the id in file, and makes one where there is no file. It never replaces one that cannot be read: the
// attempts that wait for this agent, and the jobs that only it can join, stand under the lost id.
func lastingID(file string) (string, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		id := strings.ToLower(rand.Text())
		return id, writeID(file, id)
	}
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(data))
	if len(id) != 26 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return "", fmt.Errorf("%s does not hold the id of this agent: restore it, or remove it if none of its jobs runs any more", file)
	}
	return id, nil
}

// writeID makes the file, whole and on disk or not at all.
func writeID(file, id string) error {
	f, err := os.OpenFile(file+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(id + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
