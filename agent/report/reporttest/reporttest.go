// Package reporttest holds the laws that every report.Notifier that speaks HTTP keeps: one telling is one request, and
// a repeated one the same again; which answers are for good and which are weather; what the other side asks for is
// obeyed, and nothing that it does hangs, floods or tricks us; no error shows the token. A notifier's tests call Run,
// and RunStatus if it sets commit statuses; they start servers of their own on the loopback.
package reporttest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/report"
)

// Token is what notifiers prove themselves by here.
const Token = "hush-4711"

// Kit is a Notifier to try and what it is tried with.
type Kit struct {
	// New makes the Notifier of a service at address, which proves itself by token; a nil client is one of its own.
	New func(address, token string, client *http.Client) (report.Notifier, error)
	// Notice is one that is told by a single request.
	Notice report.Notice
	// Answer is the body of an answer of 200 that means 'told'.
	Answer string
	// Advice is what errors say to do about refusals that are for good, by the answer's status.
	Advice map[int]string
	// Impossible are changes to Notice that leave nothing to be asked.
	Impossible map[string]func(n *report.Notice)
}

// Run tries every law.
func Run(t *testing.T, kit Kit) {
	for name, law := range map[string]func(*testing.T){
		"one telling is one request":                   kit.one,
		"the same notice twice is the same twice":      kit.twice,
		"many may be told at once":                     kit.many,
		"nothing impossible is asked":                  kit.impossible,
		"nothing is asked without a token":             kit.mute,
		"a refusal is for good and says what to do":    kit.refused,
		"weather is worth another try":                 kit.weather,
		"who asks to be left alone is":                 kit.limited,
		"an answer is read to a bound":                 kit.endless,
		"a slow service holds nobody for long":         kit.slow,
		"a canceled telling ends":                      kit.canceled,
		"a token goes to no other host":                kit.elsewhere,
		"a telling is not turned into something else":  kit.redirected,
		"no error shows the token that it was sent by": kit.repeated,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			law(t)
		})
	}
}

// Request is one that a service was asked.
type Request struct {
	Method, Path, Auth, Body string
}

// service answers with handler, and notes what it is asked.
type service struct {
	*httptest.Server
	mu    sync.Mutex
	asked []Request
}

func serve(t *testing.T, handler http.HandlerFunc) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		s.mu.Lock()
		s.asked = append(s.asked, Request{r.Method, r.URL.EscapedPath(), r.Header.Get("Authorization"), string(body)})
		s.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// answers answers with a status, headers and a body.
func answers(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func (kit Kit) notifier(t *testing.T, address string, client *http.Client) report.Notifier {
	t.Helper()
	n, err := kit.New(address, Token, client)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tell tells n to a service, and looks at the error for what must never be in one.
func (kit Kit) tell(t *testing.T, s *service, client *http.Client) error {
	t.Helper()
	answer, err := kit.notifier(t, s.URL, client).Notify(t.Context(), kit.Notice)
	proper(t, answer, err)
	return err
}

// proper looks at what a telling returned for what must never be in it, and for the record that it must be good for.
func proper(t *testing.T, answer report.Answer, err error) {
	t.Helper()
	if strings.Contains(answer.Words, Token) || len(answer.Words) > 2000 {
		t.Errorf("the answer shows the token, or is too long: %.2000s", answer.Words)
	}
	if err == nil {
		if answer.Status == 0 {
			t.Error("it was told, and the answer says not by which status")
		}
		return
	}
	if want := report.AnswerOf(err); answer != want {
		t.Errorf("the answer is %+v, and that of the error %+v", answer, want)
	}
	if strings.Contains(err.Error(), Token) {
		t.Errorf("the error shows the token: %v", err)
	}
	if len(err.Error()) > 2000 {
		t.Errorf("the error has %d bytes: %.200s", len(err.Error()), err)
	}
}

func (kit Kit) one(t *testing.T) {
	s := serve(t, answers(http.StatusOK, kit.Answer))
	if err := kit.tell(t, s, nil); err != nil {
		t.Error(err)
	}
	if got := s.requests(); len(got) != 1 || got[0].Method != http.MethodPost {
		t.Errorf("got %+v, want one POST", got)
	}
}

func (kit Kit) twice(t *testing.T) {
	s := serve(t, answers(http.StatusOK, kit.Answer))
	n := kit.notifier(t, s.URL, nil)
	for range 2 {
		if _, err := n.Notify(t.Context(), kit.Notice); err != nil {
			t.Error(err)
		}
	}
	if got := s.requests(); len(got) != 2 || got[0] != got[1] {
		t.Errorf("got %+v, want two equal requests", got)
	}
}

func (kit Kit) many(t *testing.T) {
	s := serve(t, answers(http.StatusOK, kit.Answer))
	n := kit.notifier(t, s.URL, nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := n.Notify(context.WithoutCancel(t.Context()), kit.Notice); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := len(s.requests()); got != 20 {
		t.Errorf("got %d requests, want 20", got)
	}
}

func (kit Kit) impossible(t *testing.T) {
	s := serve(t, answers(http.StatusOK, kit.Answer))
	for name, change := range kit.Impossible {
		n := kit.Notice
		change(&n)
		answer, err := kit.notifier(t, s.URL, nil).Notify(t.Context(), n)
		if proper(t, answer, err); !report.IsPermanent(err) || len(s.requests()) > 0 {
			t.Errorf("%s: got %v, asked %+v, want a permanent error and no request", name, err, s.requests())
		}
	}
}

func (kit Kit) mute(t *testing.T) {
	s := serve(t, answers(http.StatusOK, kit.Answer))
	n, err := kit.New(s.URL, "", nil)
	if err == nil {
		_, err = n.Notify(t.Context(), kit.Notice)
		if !report.IsPermanent(err) {
			t.Errorf("got %v, want a permanent error", err)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "token") || len(s.requests()) > 0 {
		t.Errorf("got %v, asked %+v, want an error that names the token and no request", err, s.requests())
	}
}

func (kit Kit) canceled(t *testing.T) {
	s := serve(t, answers(http.StatusOK, kit.Answer))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answer, err := kit.notifier(t, s.URL, nil).Notify(ctx, kit.Notice)
	if proper(t, answer, err); !errors.Is(err, context.Canceled) || report.IsPermanent(err) {
		t.Errorf("got %v (permanent %v), want %v", err, report.IsPermanent(err), context.Canceled)
	}
}

// sent is the first request of one telling.
func (kit Kit) sent(t *testing.T, change func(*report.Notice)) Request {
	t.Helper()
	s := serve(t, answers(http.StatusCreated, "{}"))
	n := kit.Notice
	change(&n)
	if _, err := kit.notifier(t, s.URL, nil).Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	all := s.requests()
	if len(all) != 1 {
		t.Fatalf("got %+v, want one request", all)
	}
	return all[0]
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
