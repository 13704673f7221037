package mask

import (
	"errors"
	"io"
	"slices"
)

// Errors of a Writer.
var (
	ErrStarted = errors.New("values to hide were told after the first byte")
	errClosed  = errors.New("write to a closed mask")
)

// chunk bounds what a Writer takes at once, and so its memory: about twice this.
const chunk = 64 << 10

// Writer writes to another writer with all values hidden. It holds back only bytes that may belong to a value that is
// not written yet, so never anything behind a line feed. It is for one goroutine.
type Writer struct {
	m   *Masker
	to  io.Writer
	err error // every later call returns it

	started bool
	text    []byte // what is held back, and during Write what is new
	spans   []span // of text, to be hidden: in order, apart from each other
	hidden  bool   // the byte before text was hidden, and a Hidden stands for it
	out     []byte
}

type span struct{ from, to int }

// Writer returns a Writer to w. Whoever writes closes it.
func (m *Masker) Writer(w io.Writer) *Writer { return &Writer{m: m, to: w} }

// lines is what Lines returns.
type lines struct {
	m  *Masker
	to io.Writer
}

// Lines returns a writer to w of whole lines, such as those of a log: each write is masked for itself and makes one write
// to w. Nothing is kept from one to the next, not an error either, so a disk that was full once loses no later line. It
// is as safe for concurrent use as w is.
func (m *Masker) Lines(w io.Writer) io.Writer { return lines{m, w} }

func (l lines) Write(p []byte) (int, error) {
	if _, err := io.WriteString(l.to, l.m.Text(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Mask hides values too. It must be called before the first byte is written. Errors: those of New, ErrStarted; the
// Writer then writes nothing more, since it would show what should be hidden.
func (w *Writer) Mask(values ...string) error {
	if w.err == nil && w.started {
		w.err = ErrStarted
	}
	if w.err != nil {
		return w.err
	}
	w.m, w.err = w.m.With(values...)
	return w.err
}

// Write takes p. After an error every later Write returns that error.
func (w *Writer) Write(p []byte) (int, error) {
	n := 0
	for part := range slices.Chunk(p, chunk) {
		if w.err != nil {
			return n, w.err
		}
		w.started = true
		w.text = append(w.text, part...)
		if w.release(w.scan(false)); w.err == nil {
			n += len(part)
		}
	}
	return n, w.err
}

// Close writes what is held back: the text ends, so it belongs to no value. It does not close the other writer. Closing
// twice is harmless.
func (w *Writer) Close() error {
	if w.err == nil {
		w.release(w.scan(true))
	}
	if errors.Is(w.err, errClosed) {
		return nil
	}
	err := w.err
	w.err = errClosed
	return err
}

// scan notes what of text is to be hidden, and returns from where on it must be held back: there a form may begin of
// which the end is not written yet. At the end of all there is no such place.
func (w *Writer) scan(end bool) int {
	for i := 0; ; i++ {
		if i = w.m.dict.starts.skip(w.text, i); i == len(w.text) {
			return i
		}
		n, open := w.m.dict.at(w.text[i:])
		if n > 0 {
			w.hide(span{i, i + n})
		}
		if open && !end {
			return i
		}
	}
}

// hide adds s, which begins behind the beginnings of all spans, and joins it with the last one if it touches that.
func (w *Writer) hide(s span) {
	if n := len(w.spans); n > 0 && w.spans[n-1].to >= s.from {
		w.spans[n-1].to = max(w.spans[n-1].to, s.to)
		return
	}
	w.spans = append(w.spans, s)
}

// release writes text up to end and forgets it.
func (w *Writer) release(end int) {
	if end == 0 {
		return
	}
	if shown := w.render(end); len(shown) > 0 {
		_, w.err = w.to.Write(shown)
	}
	w.text = w.text[:copy(w.text, w.text[end:])]
	rest := w.spans[:0]
	for _, s := range w.spans {
		if s.to > end {
			rest = append(rest, span{max(0, s.from-end), s.to - end})
		}
	}
	w.spans = rest
}

// render returns text up to end with what is to be hidden hidden.
func (w *Writer) render(end int) []byte {
	if len(w.spans) == 0 {
		w.hidden = false
		return w.text[:end]
	}
	w.out = w.out[:0]
	at := 0
	for _, s := range w.spans {
		if s.from >= end {
			break
		}
		w.show(w.text[at:s.from])
		if !w.hidden {
			w.out = append(w.out, Hidden...)
		}
		w.hidden = true
		at = min(s.to, end)
	}
	w.show(w.text[at:end])
	return w.out
}

func (w *Writer) show(b []byte) {
	if len(b) > 0 {
		w.out, w.hidden = append(w.out, b...), false
	}
}
