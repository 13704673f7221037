package api

import (
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/runners"
)

// maxOutput bounds the body of one request of a task, in bytes.
const maxOutput = 256 << 10

// NewTasks makes the handler of what tasks say of themselves, from wherever they run: each request bears the attempt's
// own token (TASK_TOKEN), so it does not stand behind Guard.
func NewTasks(cfg Config) http.Handler {
	s := &server{cfg}
	mux := http.NewServeMux()
	mux.Handle("POST "+OutputPath, s.handle(s.output))
	return sealed(mux)
}

// OutputPath is where a task sends outputs that it does not leave in its file: too many, or from afar.
const OutputPath = "/api/v1/runs/{id}/tasks/{task}/output"

// output takes outputs as JSON, {"NAME": "value"}, or in the form of MILLRACE_OUTPUT, NAME=value lines.
func (s *server) output(w http.ResponseWriter, r *http.Request) error {
	found, attempt, err := s.attempt(r)
	if err != nil {
		return err
	}
	outputs, err := readOutputs(w, r)
	if err != nil {
		return err
	}
	_, err = s.cfg.Actions.Output(r.Context(), found.Plan.ID, r.PathValue("task"), attempt, outputs)
	switch {
	case errors.Is(err, run.ErrStale):
		return problem{http.StatusConflict, "this attempt has ended: its outputs do not change any more"}
	case errors.Is(err, run.ErrImpossible):
		return problem{http.StatusConflict, err.Error()}
	case err != nil:
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// attempt is the present attempt of the task, if the request bears its token. Who does not is not told what there is.
func (s *server) attempt(r *http.Request) (run.Run, int, error) {
	denied := problem{http.StatusUnauthorized, "the token is not that of this task's present attempt: send `Authorization: Bearer $TASK_TOKEN`"}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || s.cfg.Token == nil {
		return run.Run{}, 0, denied
	}
	found, err := s.cfg.Runs.Load(r.Context(), r.PathValue("id"))
	if errors.Is(err, store.ErrNotFound) {
		return run.Run{}, 0, denied
	}
	if err != nil {
		return run.Run{}, 0, err
	}
	t, _, ok := found.Task(r.PathValue("task"))
	if !ok || t.Attempt == 0 || !hmac.Equal([]byte(token), []byte(s.cfg.Token(found.Plan.ID, t.Name, t.Attempt))) {
		return run.Run{}, 0, denied
	}
	return found, t.Attempt, nil
}

// readOutputs reads the body, within its bound.
func readOutputs(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOutput))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("at most %d bytes of outputs are taken", maxOutput)}
	}
	if err != nil {
		return nil, bad("the body was cut")
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		outputs, err := runners.ParseOutputs(data)
		if err != nil {
			return nil, bad("outputs: %s", err)
		}
		return outputs, nil
	}
	var outputs map[string]string
	if err := json.Unmarshal(data, &outputs); err != nil {
		return nil, bad(`outputs: want {"NAME": "value"}`)
	}
	for name, value := range outputs {
		if err := runners.CheckOutput(name, value); err != nil {
			return nil, bad("outputs: %s", err)
		}
	}
	return outputs, nil
}
