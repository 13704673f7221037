// Package arch is the import law and the small laws of the house, as a test over the parsed source. Only its own test
// calls it. It reads files in process and starts nothing: a test that shells out to `go list` is cached, and lets a
// violation pass.
package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Check parses every Go file of the module whose root is fsys and returns what breaks a law, one line for each:
// file:line: what is wrong. It looks neither into testdata and hidden folders nor into modules of their own.
func Check(fsys fs.FS, module string) ([]string, error) {
	h := &house{module: module, fset: token.NewFileSet()}
	if err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return h.enter(fsys, name)
		case strings.HasSuffix(name, ".go"):
			return h.read(fsys, name)
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the source: %w", err)
	}
	for _, f := range h.files {
		h.imports(f)
		h.purity(f)
		h.declarations(f)
		h.sleeps(f)
	}
	h.rooms()
	slices.Sort(h.broken)
	return h.broken, nil
}

// house is the source as it was read, and what was found wrong with it.
type house struct {
	module string
	fset   *token.FileSet
	files  []*file
	broken []string
}

// file is one parsed Go file.
type file struct {
	*ast.File
	name   string
	folder string
	test   bool              // a _test.go file
	names  map[string]string // import path by the name the file uses for it
}

func (h *house) enter(fsys fs.FS, folder string) error {
	if folder == "." {
		return nil
	}
	base := path.Base(folder)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" {
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, folder+"/go.mod"); err == nil {
		return fs.SkipDir
	}
	if slices.Contains(nameless, base) {
		h.broken = append(h.broken, fmt.Sprintf("%s: a folder is named for what it does, and %q says nothing", folder, base))
	}
	return nil
}

func (h *house) read(fsys fs.FS, name string) error {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(h.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := &file{File: parsed, name: name, folder: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), names: map[string]string{}}
	for _, spec := range f.Imports {
		imported := importPath(spec)
		local := path.Base(imported)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		f.names[local] = imported
	}
	h.files = append(h.files, f)
	return nil
}

// say notes that the source at pos breaks a law.
func (h *house) say(pos token.Pos, format string, args ...any) {
	at := h.fset.Position(pos)
	h.broken = append(h.broken, fmt.Sprintf("%s:%d: %s", at.Filename, at.Line, fmt.Sprintf(format, args...)))
}

// selector returns what n, if it is an imported package's pkg.Name, stands for: the package's path and the name.
func (f *file) selector(n ast.Node) (imported, name string) {
	if s, ok := n.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return f.names[x.Name], s.Sel.Name
		}
	}
	return "", ""
}

func importPath(spec *ast.ImportSpec) string {
	p, _ := strconv.Unquote(spec.Path.Value) // The parser has checked it.
	return p
}
