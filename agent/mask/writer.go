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

// chunk bounds what a Writer takes at once, and so its memory: twice this and the longest form.
const chunk = 64 << 10

// Writer writes to another writer with all values hidden. It holds back only bytes that may belong to a value that is
// not written yet, so never anything behind a line feed. It is for one goroutine.
type Writer struct {
	m   *Masker
	to  io.Writer
	err error // every later call returns it

	started bool
	text    []byte // what is held back, and during Write what is new
	node    uint32 // of the trie, where the end of text is: its depth is what must be held back
	spans   []span // of text, to be hidden: in order, apart from each other
	hidden  bool   // the byte before text was hidden, and a Hidden stands for it
	out     []byte
}

type span struct{ from, to int }

// Writer returns a Writer to w. Whoever writes closes it.
func (m *Masker) Writer(w io.Writer) *Writer { return &Writer{m: m, to: w} }

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
		old := len(w.text)
		w.text = append(w.text, part...)
		w.scan(old)
		if w.release(len(w.text) - int(w.m.trie.nodes[w.node].depth)); w.err == nil {
			n += len(part)
		}
	}
	return n, w.err
}

// Close writes what is held back: the text ends, so it belongs to no value. It does not close the other writer. Closing
// twice is harmless.
func (w *Writer) Close() error {
	if w.err == nil {
		w.release(len(w.text))
	}
	if errors.Is(w.err, errClosed) {
		return nil
	}
	err := w.err
	w.err = errClosed
	return err
}

// scan moves through text from i on and notes what is to be hidden.
func (w *Writer) scan(i int) {
	t := w.m.trie
	for i < len(w.text) {
		end := i + 1
		if depth := int(t.nodes[w.node].depth); depth < MinValue {
			// Few bytes are in doubt: the filter tells faster than the trie where a form begins, if not with them.
			next := w.m.starts.skip(w.text, i-depth)
			if next > i-depth {
				w.node, i = 0, next
			}
			end = min(next+MinValue, len(w.text))
		}
		for ; i < end; i++ {
			w.node = t.step(w.node, w.text[i])
			if n := int(t.nodes[w.node].found); n > 0 {
				w.hide(span{i + 1 - n, i + 1})
			}
		}
	}
}

// hide adds s, which ends behind all spans, and joins it with those that it touches.
func (w *Writer) hide(s span) {
	for n := len(w.spans) - 1; n >= 0 && w.spans[n].to >= s.from; n-- {
		s.from = min(s.from, w.spans[n].from)
		w.spans = w.spans[:n]
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
