// Command tally reads the events of `go test -json` and prints what a person wants of them: one line for each package,
// the output of what failed or was skipped, and last how many tests ended how. The Makefile pipes its tests through it.
// It fails when a test failed, when none ran, and when one was skipped: here a missing server is a failure.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	show := flag.String("show", "", "a test whose output is worth reading also when it passed")
	flag.Parse()
	total, err := tally(os.Stdin, os.Stdout, *show)
	if err != nil {
		fmt.Fprintln(os.Stderr, "read the events of go test:", err)
		os.Exit(2)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped)
	if total.passed == 0 || total.failed > 0 || total.skipped > 0 {
		os.Exit(1)
	}
}

// event is one line of `go test -json`, see `go doc test2json` and `go help buildjson`.
type event struct {
	Action  string
	Package string
	Test    string // "" for an event of the package
	Output  string
}

// counts is how many tests, subtests and examples ended how, at the last try. A package that failed without one of its tests, because
// it did not build or its process died, counts as one that failed.
type counts struct{ passed, failed, skipped int }

// tally copies from r to w what is worth reading, and what the test show says, and counts.
func tally(r io.Reader, w io.Writer, show string) (counts, error) {
	var total counts
	packages := map[string]*transcript{}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Fprintln(w, in.Text()) // Go says some things outside of its own format.
			continue
		}
		t := packages[e.Package]
		if t == nil {
			t = &transcript{show: show, output: map[string]*strings.Builder{}, failed: map[string]bool{}}
			packages[e.Package] = t
		}
		switch {
		case e.Action == "build-output":
			fmt.Fprint(w, e.Output)
		case e.Action == "output":
			t.write(e.Test, e.Output)
		case e.Test != "":
			t.endTest(e, &total)
		default:
			t.endPackage(e, &total, w)
		}
	}
	return total, in.Err()
}

// transcript is what the tests of one package have said, less what is not worth reading.
type transcript struct {
	show   string
	tests  []string                    // in order of their first words
	output map[string]*strings.Builder // by test; "" is the package
	failed map[string]bool             // tests, until they pass when they are tried again
}

func (t *transcript) write(test, text string) {
	if t.output[test] == nil {
		t.output[test] = &strings.Builder{}
		t.tests = append(t.tests, test)
	}
	t.output[test].WriteString(text)
}

func (t *transcript) endTest(e event, total *counts) {
	switch e.Action {
	case "pass":
		total.passed++
		if t.failed[e.Test] {
			total.failed--
			delete(t.failed, e.Test)
		}
		if e.Test != t.show {
			delete(t.output, e.Test)
		}
	case "fail":
		total.failed++
		t.failed[e.Test] = true
	case "skip":
		total.skipped++
	}
}

func (t *transcript) endPackage(e event, total *counts, w io.Writer) {
	if e.Action != "pass" && e.Action != "fail" {
		return
	}
	for _, test := range t.tests {
		if said := t.output[test]; said != nil && test != "" {
			fmt.Fprint(w, said)
		}
	}
	own := ""
	if said := t.output[""]; said != nil {
		own = said.String()
	}
	if e.Action == "pass" {
		own = lastLine(own) // Before it stand PASS and the seed of the shuffle.
	} else if len(t.failed) == 0 {
		total.failed++
	}
	fmt.Fprint(w, own)
	t.tests, t.output = nil, map[string]*strings.Builder{}
}

func lastLine(text string) string {
	before := strings.LastIndexByte(strings.TrimSuffix(text, "\n"), '\n')
	return text[before+1:]
}
