package main

import (
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// format is the value of -o.
type format string

const (
	asText format = "text"
	asJSON format = "json"
)

// String, Set and Type are pflag.Value's, so that a format that does not exist is refused before anything is done.
func (f *format) String() string { return string(*f) }

func (f *format) Set(s string) error {
	if *f = format(s); *f != asText && *f != asJSON {
		return fmt.Errorf("say %s or %s", asText, asJSON)
	}
	return nil
}

func (*format) Type() string { return "format" }

// formatFlag adds -o to a command.
func formatFlag(c *cobra.Command) *format {
	f := asText
	c.Flags().VarP(&f, "output", "o", "`FORMAT` to print in: text or json")
	return &f
}

// print writes v as JSON, or as text does. Text is for a terminal: what strangers put in it is not to command that.
func (f format) print(w io.Writer, v any, text func(io.Writer) error) error {
	if f == asText {
		return text(harmless{w})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// harmless shows what a terminal would obey, and what reorders text, as [U+001B].
type harmless struct{ io.Writer }

func (h harmless) Write(p []byte) (int, error) {
	var out []byte
	for _, r := range string(p) {
		if r == '\n' || r == '\t' || unicode.IsGraphic(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		out = fmt.Appendf(out, "[U+%04X]", r)
	}
	if _, err := h.Writer.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
