package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestCommands checks that every command has what its help is made of, and a section in docs/cli.md with all its flags.
func TestCommands(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(string(data), "\n## ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		sections[title] = body
	}
	for _, c := range rootCommand(streams{io.Discard, io.Discard}).Commands() {
		if c.Hidden {
			continue
		}
		body, ok := sections[c.CommandPath()]
		delete(sections, c.CommandPath())
		if !ok || c.Short == "" || c.Example == "" || !strings.Contains(body, "    $ "+c.CommandPath()) {
			t.Errorf("%s lacks a section in docs/cli.md, an example there or in its help, or a line", c.CommandPath())
		}
		checkFlags(t, c, body)
	}
	for title := range sections {
		t.Errorf("docs/cli.md tells of %s, which does not exist", title)
	}
}

func checkFlags(t *testing.T, c *cobra.Command, body string) {
	t.Helper()
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(body, "--"+f.Name) && (f.Shorthand == "" || !strings.Contains(body, "-"+f.Shorthand+" ") && !strings.Contains(body, "-"+f.Shorthand+"]")) {
			t.Errorf("docs/cli.md: %s does not mention --%s", c.CommandPath(), f.Name)
		}
	})
}
