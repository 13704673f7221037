package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace-ci/millrace/triggers"
)

// maxDefinition is the longest definition that is read, in bytes: what the daemon reads too.
const maxDefinition = 256 << 10

// readTree reads the definitions of a working tree: .millrace.yaml and .millrace/*.yaml below dir, as the daemon finds
// them in a commit. Names of files are relative to dir.
func readTree(dir string) ([]triggers.File, error) {
	names, err := filepath.Glob(filepath.Join(dir, ".millrace", "*.yaml"))
	if err != nil {
		return nil, err
	}
	single := filepath.Join(dir, ".millrace.yaml")
	if _, err := os.Lstat(single); err == nil {
		names = append([]string{single}, names...)
	}
	var files []triggers.File
	var errs []error
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), ".") && name != single {
			continue
		}
		data, err := readDefinition(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rel, err := filepath.Rel(dir, name)
		errs = append(errs, err)
		files = append(files, triggers.File{Path: filepath.ToSlash(rel), Data: data})
	}
	return files, errors.Join(errs...)
}

func readDefinition(name string) ([]byte, error) {
	info, err := os.Lstat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s:1:1: is a %s: a definition is a plain file", name, kindOf(info.Mode()))
	case info.Size() > maxDefinition:
		return nil, fmt.Errorf("%s:1:1: has %d bytes: a definition has at most %d", name, info.Size(), maxDefinition)
	}
	return os.ReadFile(name)
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m.IsDir():
		return "folder"
	}
	return "special file"
}
