package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/triggers"
)

// Where the definitions of a repository are.
const (
	definitionFile   = ".millrace.yaml"
	definitionFolder = ".millrace"
)

// noDefinitions is what there is to say about a folder without any.
const noDefinitions = "no .millrace.yaml and no .millrace/*.yaml"

// maxDefinition bounds what is read of a file, in bytes. It is past what a definition may have, which Decode says.
const maxDefinition = 1 << 20

// tree is the definitions of a working tree. Paths are relative to it.
type tree struct {
	files []triggers.File
	bad   []pipeline.Problem // of definitions that cannot be read
}

// readTree finds definitions below dir as the daemon finds them in a commit.
func readTree(dir string) (tree, error) {
	var t tree
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return t, usage(fmt.Errorf("there is no folder %s", dir))
	}
	t.add(dir, definitionFile)
	entries, err := os.ReadDir(filepath.Join(dir, definitionFolder))
	if info, lstat := os.Lstat(filepath.Join(dir, definitionFolder)); lstat == nil && !info.IsDir() {
		t.fail(definitionFolder, "is not a folder: put pipelines into files .millrace/NAME.yaml")
		return t, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.fail(definitionFolder, err.Error())
	}
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".yaml") && !strings.HasPrefix(e.Name(), ".") {
			t.add(dir, definitionFolder+"/"+e.Name())
		}
	}
	return t, nil
}

// add reads the file at path below dir, if there is one.
func (t *tree) add(dir, path string) {
	name := filepath.Join(dir, filepath.FromSlash(path))
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		t.fail(path, err.Error())
		return
	case info.Mode()&fs.ModeSymlink != 0:
		t.fail(path, "is a symbolic link: a pipeline must be a file of its own")
		return
	case !info.Mode().IsRegular():
		t.fail(path, "is not a file")
		return
	}
	data, err := readStart(name)
	if err != nil {
		t.fail(path, err.Error())
		return
	}
	t.files = append(t.files, triggers.File{Path: path, Data: data})
}

func (t *tree) fail(path, message string) {
	t.bad = append(t.bad, pipeline.Problem{File: path, Pos: param.Pos{Line: 1, Column: 1}, Message: message})
}

// none tells whether there are no definitions at all.
func (t *tree) none() bool { return len(t.files)+len(t.bad) == 0 }

// readStart reads the first maxDefinition bytes of a file.
func readStart(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxDefinition))
}
