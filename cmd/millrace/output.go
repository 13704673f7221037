package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// outputFlag adds -o to a command.
func outputFlag(c *cobra.Command, output *string) {
	c.Flags().StringVarP(output, "output", "o", "text", "how to print: text or json")
}

// printAs prints v as JSON, or as text writes it.
func printAs(w io.Writer, output string, v any, text func(io.Writer) error) error {
	switch output {
	case "text":
		return text(w)
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	return usage(fmt.Errorf("-o %s: say text or json", output))
}
