package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
)

func checkCommand(s streams) *cobra.Command {
	var output *format
	c := &cobra.Command{
		Use: "check [PATH...]", Short: "Check pipeline definitions", GroupID: groupHere,
		Long: `Checks definitions: files, or folders that hold .millrace.yaml or .millrace/*.yaml.
Without PATH it checks the current folder. It prints a line per problem,
FILE:LINE:COL: message, and exits with 1 when there is one.`,
		Example: "  millrace check\n  millrace check .millrace/build.yaml ../other-repository",
		RunE: func(_ *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				paths = []string{"."}
			}
			return check(s, paths, *output)
		},
	}
	output = formatFlag(c)
	return c
}

func check(s streams, paths []string, output format) error {
	t, err := definitionsAt(paths)
	if err != nil {
		return err
	}
	if t.none() {
		return exitError{exitFailed, errors.New(noDefinitions + " there")}
	}
	problems := append([]pipeline.Problem{}, t.bad...)
	names := map[string]*pipeline.Names{}
	for _, f := range t.files {
		root := repositoryOf(f.Path)
		if names[root] == nil {
			names[root] = &pipeline.Names{}
		}
		problems = append(problems, agent.Check(f, names[root], run.Compilation{Catalogue: template.Builtin(template.Platform{}), DefaultRunner: "local"})...)
	}
	err = output.print(s.out, problems, func(w io.Writer) error { return listProblems(w, problems) })
	if err == nil && len(problems) > 0 {
		return exitError{code: exitFailed}
	}
	fmt.Fprintf(s.err, "%d definitions checked, no problems\n", len(t.files))
	return err
}

// listProblems prints a line per problem, as editors and other tools read them.
func listProblems(w io.Writer, problems []pipeline.Problem) error {
	for _, p := range problems {
		if _, err := fmt.Fprintln(w, p); err != nil {
			return err
		}
	}
	return nil
}

// definitionsAt reads files, and the definitions of folders, each once, named so that an editor finds them from here.
func definitionsAt(paths []string) (tree, error) {
	var all tree
	seen := map[string]bool{}
	for _, path := range paths {
		t, err := definitionAt(path)
		if err != nil {
			return all, err
		}
		all.bad = append(all.bad, t.bad...)
		for _, f := range t.files {
			if !seen[f.Path] {
				seen[f.Path] = true
				all.files = append(all.files, f)
			}
		}
	}
	return all, nil
}

func definitionAt(path string) (tree, error) {
	info, err := os.Stat(path)
	if err != nil {
		return tree{}, usage(fmt.Errorf("there is no file or folder %s", path))
	}
	dir := path
	if abs, err := filepath.Abs(path); err == nil && filepath.Base(abs) == definitionFolder {
		dir = filepath.Join(path, "..")
	}
	var t tree
	if !info.IsDir() {
		dir = filepath.Dir(path)
		t.add(dir, filepath.Base(path))
	} else if t, err = readTree(dir); err != nil {
		return t, err
	}
	for i := range t.files {
		t.files[i].Path = filepath.Join(dir, t.files[i].Path)
	}
	for i := range t.bad {
		t.bad[i].File = filepath.Join(dir, t.bad[i].File)
	}
	return t, nil
}

// repositoryOf is the folder whose definitions a file is one of: names are taken once in it.
func repositoryOf(file string) string {
	dir := filepath.Dir(file)
	if filepath.Base(dir) == definitionFolder {
		return filepath.Dir(dir)
	}
	return dir
}
