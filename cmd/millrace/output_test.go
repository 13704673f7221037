package main

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// TestTextCommandsNoTerminal: what strangers put in a text is shown, and neither obeyed nor reordered. JSON has escapes of
// its own.
func TestTextCommandsNoTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := asText.print(&out, nil, func(w io.Writer) error {
		_, err := fmt.Fprint(w, "ok 测试 é\tx\n\x1b[31mred\x1b]0;t\a \u202egpj.exe\r\u009b2J\xff\n")
		return err
	})
	want := "ok 测试 é\tx\n[U+001B][31mred[U+001B]]0;t[U+0007] [U+202E]gpj.exe[U+000D][U+009B]2J\uFFFD\n"
	if got := out.String(); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
