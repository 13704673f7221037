package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
)

// followFor is how long one read of a followed log waits for more; between two a comment keeps the connection.
const followFor = 5 * time.Second

// log answers a task's log as text, or follows it as server-sent events: `log` with {"text": ...} and the byte offset
// of what comes next as id, which a client that comes back sends as Last-Event-ID, and `end`.
func (s *server) log(w http.ResponseWriter, r *http.Request) error {
	key, err := s.logKey(r)
	if err != nil {
		return err
	}
	offset := int64(0)
	if at := first(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("offset")); at != "" {
		if offset, err = strconv.ParseInt(at, 10, 64); err != nil || offset < 0 {
			return problem{http.StatusBadRequest, "offset: say a number of bytes"}
		}
	}
	if follow, _ := strconv.ParseBool(r.URL.Query().Get("follow")); follow {
		return s.follow(w, r, key, offset)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	for started := false; ; started = true {
		chunk, err := s.cfg.Logs.Read(r.Context(), key, offset, 0)
		switch {
		case err != nil && started: // the head is sent: cutting the connection is the only way to say so
			s.cfg.Log.WarnContext(r.Context(), "log cut short", "run", key.Run, "task", key.Task, "err", err)
			panic(http.ErrAbortHandler)
		case err != nil:
			return err
		case len(chunk.Data) == 0:
			return nil
		}
		if _, err := w.Write(chunk.Data); err != nil {
			return nil // the caller went away
		}
		offset = chunk.Next
	}
}

func (s *server) follow(w http.ResponseWriter, r *http.Request, key logs.Key, offset int64) error {
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	for {
		chunk, err := s.cfg.Logs.Read(r.Context(), key, offset, followFor)
		if err != nil {
			return nil // the reader went away, or comes back with the offset it has
		}
		offset = chunk.Next
		event := ": still here\n\n"
		if len(chunk.Data) > 0 {
			event = fmt.Sprintf("event: log\nid: %d\ndata: %s\n\n", offset, quoted(chunk.Data))
		}
		ended := chunk.Ended || len(chunk.Data) == 0 && s.over(r, key)
		if ended {
			event += fmt.Sprintf("event: end\nid: %d\ndata: {}\n\n", offset)
		}
		if _, err := w.Write([]byte(event)); err != nil || out.Flush() != nil || ended {
			return nil
		}
	}
}

// over tells whether the task has ended: one that never ran has no log that could end.
func (s *server) over(r *http.Request, key logs.Key) bool {
	found, err := s.cfg.Runs.Load(r.Context(), key.Run)
	if err != nil {
		return false
	}
	t, _, ok := found.Task(key.Task)
	return ok && (t.State.Final() || t.Attempt > key.Attempt)
}

// quoted is the data of a log event: one line of JSON, so that nothing in a log can look like an event.
func quoted(data []byte) string {
	text, _ := json.Marshal(map[string]string{"text": string(data)}) // a map of strings can always be written
	return string(text)
}

// logKey finds the attempt that the request means: the last one unless it says otherwise.
func (s *server) logKey(r *http.Request) (logs.Key, error) {
	found, err := s.cfg.Runs.Load(r.Context(), r.PathValue("id"))
	if err != nil {
		return logs.Key{}, err
	}
	t, _, ok := found.Task(r.PathValue("task"))
	if !ok {
		names := make([]string, len(found.Tasks))
		for i := range found.Tasks {
			names[i] = found.Tasks[i].Name
		}
		return logs.Key{}, problem{http.StatusNotFound, "this run has no such task; it has " + strings.Join(names, ", ")}
	}
	attempt := t.Attempt
	if s := r.URL.Query().Get("attempt"); s != "" {
		if attempt, err = strconv.Atoi(s); err != nil || attempt < 1 || attempt > t.Attempt {
			return logs.Key{}, problem{http.StatusNotFound, fmt.Sprintf("attempt: this task has %d", t.Attempt)}
		}
	}
	return logs.Key{Run: found.Plan.ID, Task: t.Name, Attempt: max(attempt, 1)}, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
