package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/millrace-ci/millrace/agent/logs"
)

// log answers a task's log as text from an offset on, as far as there is one, or follows it: see follow.
func (s *server) log(w http.ResponseWriter, r *http.Request) error {
	following, err := flag(r.URL.Query().Get("follow"))
	if err != nil {
		return err
	}
	offset, err := offsetOf(r)
	if err != nil {
		return err
	}
	key, err := s.logKey(r)
	if err != nil {
		return err
	}
	if following {
		return s.follow(w, r, key, offset)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return s.text(w, r, key, offset)
}

// kept answers what is kept of an attempt beside its log, as it was written: YAML. hint says when it comes to be.
func (s *server) kept(kind logs.Kind, hint string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		key, err := s.logKey(r)
		if err != nil {
			return err
		}
		key.Kind = kind
		chunk, err := s.cfg.Logs.Read(r.Context(), key, 0, 0)
		if err != nil {
			return err
		}
		if len(chunk.Data) == 0 {
			return problem{http.StatusNotFound, hint}
		}
		w.Header().Set("Content-Type", "application/yaml; charset=utf-8")
		return s.text(w, r, key, 0)
	}
}

// text sends what lies at offset and after it, in chunks: it never holds a whole log. The caller has said what it is.
func (s *server) text(w http.ResponseWriter, r *http.Request, key logs.Key, offset int64) error {
	for started := false; ; started = true {
		chunk, err := s.cfg.Logs.Read(r.Context(), key, offset, 0)
		switch {
		case err != nil && started: // the head is sent: cutting the connection is the only way to say so
			s.cfg.Log.WarnContext(r.Context(), "log cut short", "run", key.Run, "task", key.Task, "err", err)
			panic(http.ErrAbortHandler)
		case err != nil:
			return err
		}
		if len(chunk.Data) == 0 {
			return nil
		}
		if _, err := w.Write(chunk.Data); err != nil {
			return nil // the caller went away
		}
		if offset = chunk.Next; chunk.Ended {
			return nil
		}
	}
}

// flag reads a parameter that says yes or no.
func flag(s string) (bool, error) {
	if s == "" {
		return false, nil
	}
	yes, err := strconv.ParseBool(s)
	if err != nil {
		return false, bad("follow: say true or false")
	}
	return yes, nil
}

// offsetOf is the byte from which the request wants the log: a client that comes back says what it has.
func offsetOf(r *http.Request) (int64, error) {
	at := r.Header.Get("Last-Event-ID")
	if at == "" {
		at = r.URL.Query().Get("offset")
	}
	if at == "" {
		return 0, nil
	}
	offset, err := strconv.ParseInt(at, 10, 64)
	if err != nil || offset < 0 {
		return 0, bad("offset: say a number of bytes")
	}
	return offset, nil
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
		attempt, err = strconv.Atoi(s)
		switch {
		case err != nil || attempt < 1:
			return logs.Key{}, bad("attempt: say a number from 1 on")
		case attempt > t.Attempt:
			return logs.Key{}, problem{http.StatusNotFound, "attempt: this task has " + strconv.Itoa(t.Attempt)}
		}
	}
	return logs.Key{Run: found.Plan.ID, Task: t.Name, Attempt: max(attempt, 1)}, nil
}
