package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/store"
)

// followFor is how long one read of a followed log waits for more; between two a comment keeps the connection.
const followFor = 5 * time.Second

// follow sends a log as server-sent events: `log` with {"text": ...} and the byte offset of what comes next as id, which
// a client that comes back sends as Last-Event-ID, and `end`. It ends with the log, also where a task never has one.
func (s *server) follow(w http.ResponseWriter, r *http.Request, key logs.Key, offset int64) error {
	out := http.NewResponseController(w)
	var rest []byte // of a character whose end is still to come
	wait := followFor
	for started := false; ; started = true {
		chunk, err := s.cfg.Logs.Read(r.Context(), key, offset, wait)
		switch {
		case err != nil && !started:
			return err
		case err != nil:
			return nil // the reader went away, or comes back with the offset it has
		}
		offset = chunk.Next
		last := chunk.Ended || len(chunk.Data) == 0 && wait == 0
		var text []byte
		if text, rest = whole(append(rest, chunk.Data...)); last {
			text = append(text, rest...)
			rest = nil
		}
		w.Header().Set("Content-Type", "text/event-stream")
		if _, err := w.Write(events(text, offset-int64(len(rest)), last)); err != nil || out.Flush() != nil || last {
			return nil
		}
		if len(chunk.Data) == 0 && s.over(r, key) {
			wait = 0 // what was written until now is still read
		}
	}
}

// events is what a reader is sent: the text, if any, then the end, if it is that; else a comment.
func events(text []byte, next int64, last bool) []byte {
	var out []byte
	if len(text) > 0 {
		line, _ := json.Marshal(map[string]string{"text": string(text)}) // one line, so that no log looks like an event
		out = fmt.Appendf(out, "event: log\nid: %d\ndata: %s\n\n", next, line)
	}
	if last {
		out = fmt.Appendf(out, "event: end\nid: %d\ndata: {}\n\n", next)
	}
	if len(out) == 0 {
		out = []byte(": still here\n\n")
	}
	return out
}

// whole splits data before a last character that is not complete yet.
func whole(data []byte) (text, rest []byte) {
	for i := len(data) - 1; i >= max(0, len(data)-utf8.UTFMax+1); i-- {
		if utf8.RuneStart(data[i]) {
			if !utf8.FullRune(data[i:]) {
				return data[:i:i], data[i:]
			}
			break
		}
	}
	return data, nil
}

// over tells whether nothing more can come: the attempt has ended, and one that never ran has no log that could end.
func (s *server) over(r *http.Request, key logs.Key) bool {
	found, err := s.cfg.Runs.Load(r.Context(), key.Run)
	if err != nil {
		return errors.Is(err, store.ErrNotFound) // it was deleted meanwhile
	}
	t, _, ok := found.Task(key.Task)
	return ok && (t.State.Final() || t.Attempt > key.Attempt)
}
