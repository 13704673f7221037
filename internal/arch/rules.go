package arch

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// nameless are folder names that say nothing: types are born in the room that first says the word.
var nameless = []string{
	"util", "utils", "common", "helper", "helpers", "type", "types", "model", "models", "core", "misc", "shared",
}

// imports holds a file's imports against the row of its room.
func (h *house) imports(f *file) {
	r, known := roomOf(f.folder)
	for _, spec := range f.Imports {
		p := importPath(spec)
		ours, isOurs := strings.CutPrefix(p, h.module+"/")
		switch {
		case spec.Name != nil && spec.Name.Name == ".":
			h.say(spec.Pos(), "a dot import hides where a name is from")
		case isOurs && strings.HasPrefix(ours, "cmd/") && !strings.HasPrefix(ours, f.folder+"/"):
			h.say(spec.Pos(), "nobody else imports %s", ours)
		case f.test || !known || r.free:
		case isOurs && !slices.Contains(r.may, ours):
			h.say(spec.Pos(), "%s may not import %s, only [%s]", f.folder, ours, strings.Join(r.may, " "))
		case !isOurs && r.std && thirdParty(p):
			h.say(spec.Pos(), "%s is a contract and may not import %s, only the standard library", f.folder, p)
		case r.pure && slices.Contains(impure, p):
			h.say(spec.Pos(), "%s is pure and may not import %s", f.folder, p)
		}
	}
}

// purity finds the clock in a pure package, called or handed on.
func (h *house) purity(f *file) {
	if r, _ := roomOf(f.folder); f.test || !r.pure {
		return
	}
	ast.Inspect(f.File, func(n ast.Node) bool {
		if p, name := f.selector(n); p == "time" && slices.Contains(clocks, name) {
			h.say(n.Pos(), "%s is pure and may not use time.%s: the caller tells it the time", f.folder, name)
		}
		return true
	})
}

// declarations finds what happens, or is shared, merely because a package is imported.
func (h *house) declarations(f *file) {
	if f.test {
		return
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				h.say(d.Pos(), "no init functions: cmd/millrace calls what it wants to happen")
			}
		case *ast.GenDecl:
			if d.Tok == token.VAR {
				h.globals(f, d)
			}
		}
	}
}

// globals finds loggers and metrics at package level. A function's parameters and body are not shared by anybody.
func (h *house) globals(f *file, d *ast.GenDecl) {
	ast.Inspect(d, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.FuncLit, *ast.FuncType:
			return false
		}
		p, name := f.selector(n)
		switch {
		case p == "log/slog" && slices.Contains([]string{"Logger", "New", "Default", "With"}, name):
			h.say(n.Pos(), "no package-level logger: it is passed in")
		case strings.HasPrefix(p, "github.com/prometheus/client_golang/prometheus"):
			h.say(n.Pos(), "no package-level metrics: a constructor in package metrics takes the registerer")
		}
		return true
	})
}

// sleeps finds a test that sleeps. In a synctest bubble sleeping takes no time.
func (h *house) sleeps(f *file) {
	if !f.test {
		return
	}
	ast.Inspect(f.File, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if p, name := f.selector(call.Fun); p == "testing/synctest" && name == "Test" {
				return false
			}
		}
		if p, name := f.selector(n); p == "time" && name == "Sleep" {
			h.say(n.Pos(), "a test does not sleep: wait on a signal, or use testing/synctest")
		}
		return true
	})
}

// rooms checks what is said once for a package: which room it is, and what it is for.
func (h *house) rooms() {
	first := map[string]*file{}
	comments := map[string]int{}
	for _, f := range h.files {
		if f.test {
			continue
		}
		if first[f.folder] == nil {
			first[f.folder] = f
		}
		if f.Doc.Text() != "" {
			comments[f.folder]++
		}
	}
	for folder, f := range first {
		if _, ok := roomOf(folder); !ok {
			h.say(f.Package, "the import law has no row for %s: say in house terms which room this is", folder)
		}
		if n := comments[folder]; n != 1 {
			h.say(f.Package, "%s has %d package comments, want exactly one", folder, n)
		}
	}
}

func thirdParty(imported string) bool {
	host, _, _ := strings.Cut(imported, "/")
	return strings.Contains(host, ".")
}
