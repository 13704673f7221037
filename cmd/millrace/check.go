package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/triggers"
)

func checkCommand(s streams) *cobra.Command {
	output := ""
	c := &cobra.Command{
		Use: "check [PATH...]", Short: "Check pipeline definitions: files, or folders that hold .millrace.yaml",
		RunE: func(_ *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				paths = []string{"."}
			}
			return check(s, paths, output)
		},
	}
	outputFlag(c, &output)
	return c
}

func check(s streams, paths []string, output string) error {
	problems := []pipeline.Problem{}
	found := 0
	for _, path := range paths {
		files, err := definitionsAt(path)
		if err != nil {
			return exitError{exitFailed, err}
		}
		found += len(files)
		var names pipeline.Names
		for _, f := range files {
			problems = append(problems, checkFile(f, &names)...)
		}
	}
	if found == 0 {
		return exitError{exitFailed, errors.New("no .millrace.yaml and no .millrace/*.yaml there")}
	}
	err := printAs(s.out, output, problems, func(w io.Writer) error {
		for _, p := range problems {
			fmt.Fprintln(w, p)
		}
		return nil
	})
	if err == nil && len(problems) > 0 {
		err = exitError{code: exitFailed}
	}
	return err
}

// checkFile tells what is wrong with one definition, as far as it does not hang on who runs it.
func checkFile(f triggers.File, names *pipeline.Names) []pipeline.Problem {
	p, problems := pipeline.Decode(f)
	problems = append(problems, names.Taken(p)...)
	if len(problems) > 0 {
		return problems
	}
	_, problems = run.Compile(p, run.Compilation{Catalogue: template.Builtin(), DefaultRunner: "local"})
	return pipeline.Quote(f, problems)
}

// definitionsAt reads one file, or the definitions of a folder, named so that an editor finds them from here.
func definitionsAt(path string) ([]triggers.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		data, err := readDefinition(path)
		return []triggers.File{{Path: path, Data: data}}, err
	}
	files, err := readTree(path)
	for i := range files {
		files[i].Path = filepath.Join(path, files[i].Path)
	}
	return files, err
}
