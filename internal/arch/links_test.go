package arch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	function = regexp.MustCompile("^`([A-Za-z]+)`$")
)

// TestLinks checks the papers' links to files of this repository: the file is there, and where the text names a
// function, it declares one of that name.
func TestLinks(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	papers, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		more, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		papers = append(papers, more...)
	}
	found := 0
	for _, paper := range papers {
		text, err := os.ReadFile(paper)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target, _, _ := strings.Cut(m[2], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			found++
			checkLink(t, paper, m[1], filepath.Join(filepath.Dir(paper), target))
		}
	}
	if found == 0 {
		t.Error("no links found: the pattern is wrong")
	}
}

func checkLink(t *testing.T, paper, text, target string) {
	t.Helper()
	info, err := os.Stat(target)
	if err != nil {
		t.Errorf("%s: [%s] leads to %s, which is not there", paper, text, target)
		return
	}
	name := function.FindStringSubmatch(text)
	if name == nil || info.IsDir() {
		return
	}
	source, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + name[1] + `[\[(]`).Match(source) {
		t.Errorf("%s: %s does not declare %s", paper, target, name[1])
	}
}
