// Package mask hides the values of secrets in everything that is shown: each run of bytes that belongs to a value, or to
// one of the forms in which tools print it, becomes `***`. The agent and the runners call it on logs, reasons, outputs
// and evidence; it calls nobody. It is pure, and it does not find secrets: it hides what it was told.
//
// What comes out depends on the bytes that go in alone, never on how they were split into writes. No form holds a line
// feed, so what comes out is also a function of whole lines: behind a line feed nothing is held back, and a log may go
// on there with a new Writer. A text must be masked before it is cut: half a value is not found.
package mask

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Hidden stands for what is hidden.
const Hidden = "***"

// Bounds of what one Masker hides.
const (
	MinValue  = 4         // bytes of a value without the line breaks around it; what is shorter would be found in any text
	MaxValues = 256 << 10 // bytes of all values together
	MaxForms  = 12 << 20  // bytes of all their forms together, without what is in several; a Masker takes at most a quarter more
)

// Why values are refused.
var (
	ErrShort = errors.New("a value is too short to be hidden: give it at least 4 bytes")
	ErrLarge = errors.New("the values are too large to be hidden: give a task fewer or shorter secrets")
)

// Masker hides a set of values. It never changes and is safe for concurrent use.
type Masker struct {
	values []string
	dict   dict
}

// New makes a Masker that hides values; without any it hides nothing. A Masker of a hundred ordinary secrets (tokens, keys,
// kubeconfigs, credentials of registries: BenchmarkNew) takes less than 4 MiB, of two tokens less than 8 KiB. Errors: ErrShort, ErrLarge; they name a value by
// its place, never by what it is.
func New(values ...string) (*Masker, error) {
	forms, err := check(values)
	if err != nil {
		return nil, err
	}
	return &Masker{values: slices.Clone(values), dict: newDict(forms)}, nil
}

// Check tells why New would not take the values, for less than New costs: what is going to be hidden later must be known
// before. Errors are those of New.
func Check(values ...string) error {
	_, err := check(values)
	return err
}

// check returns the forms of values that can be hidden.
func check(values []string) ([]string, error) {
	size := 0
	for i, v := range values {
		if len(strings.Trim(v, "\r\n")) < MinValue {
			return nil, fmt.Errorf("value %d of %d: %w", i+1, len(values), ErrShort)
		}
		if size += len(v); size > MaxValues {
			return nil, fmt.Errorf("%d values take more than %d bytes: %w", len(values), MaxValues, ErrLarge)
		}
	}
	return formsOf(values)
}

// With returns a Masker that hides values beside those of m. Errors are those of New.
func (m *Masker) With(values ...string) (*Masker, error) {
	return New(slices.Concat(m.values, values)...)
}

// Text returns s with all values hidden.
func (m *Masker) Text(s string) string {
	var b strings.Builder
	w := m.Writer(&b)
	_, _ = io.WriteString(w, s) // A strings.Builder takes everything.
	_ = w.Close()
	return b.String()
}

// Format keeps the values out of whatever prints a Masker.
func (m *Masker) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Hidden) }
