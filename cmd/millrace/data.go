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

// lastingID reads the id in file, and makes one where there is none.
func lastingID(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(data)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id := strings.ToLower(rand.Text())
	if err := os.WriteFile(file+".new", []byte(id+"\n"), 0o600); err != nil {
		return "", err
	}
	return id, os.Rename(file+".new", file)
}
