package reporttest

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/agent/report"
)

func (kit Kit) refused(t *testing.T) {
	for status, advice := range kit.Advice {
		s := serve(t, answers(status, `{"message":"`+Token+` is a teapot's"}`))
		err := kit.tell(t, s, nil)
		if !report.IsPermanent(err) || !strings.Contains(err.Error(), advice) {
			t.Errorf("%d: got %v (permanent %v), want a permanent error that says %q", status, err, report.IsPermanent(err), advice)
		}
		if err != nil && !strings.Contains(err.Error(), kit.Notice.Repo) {
			t.Errorf("%d: the error does not name %q: %v", status, kit.Notice.Repo, err)
		}
		if got := len(s.requests()); got != 1 {
			t.Errorf("%d: asked %d times", status, got)
		}
	}
}

func (kit Kit) weather(t *testing.T) {
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"mess`)
	}
	all := map[string]http.HandlerFunc{"cut": cut, "a refusal that was cut": half}
	for _, status := range []int{408, 500, 502, 503, 504} {
		all[http.StatusText(status)] = answers(status, "<html>")
	}
	for name, handler := range all {
		s := serve(t, handler)
		if err := kit.tell(t, s, nil); err == nil || report.IsPermanent(err) || report.Wait(err) != 0 {
			t.Errorf("%s: got %v (permanent %v, wait %v), want an error worth another try", name, err, report.IsPermanent(err), report.Wait(err))
		}
	}
	s := serve(t, cut)
	s.Close() // Nobody is there.
	if err := kit.tell(t, s, nil); err == nil || report.IsPermanent(err) {
		t.Errorf("nobody: got %v (permanent %v), want an error worth another try", err, report.IsPermanent(err))
	}
}

func (kit Kit) limited(t *testing.T) {
	for _, c := range []struct {
		status   int
		after    string
		from, to time.Duration
	}{
		{429, "7", 7 * time.Second, 7 * time.Second},
		{503, "30", 30 * time.Second, 30 * time.Second},
		{429, "0", time.Second, time.Second},
		{429, time.Now().Add(time.Minute).UTC().Format(http.TimeFormat), 50 * time.Second, time.Minute},
		{429, "999999999999", time.Hour, time.Hour},
		{429, "soon", time.Second, time.Minute},
		{429, "", time.Second, time.Minute},
	} {
		s := serve(t, answers(c.status, "{}", "Retry-After", c.after))
		err := kit.tell(t, s, nil)
		if wait := report.Wait(err); err == nil || report.IsPermanent(err) || wait < c.from || wait > c.to {
			t.Errorf("%d, Retry-After %q: got %v (permanent %v, wait %v), want a wait of %v to %v", c.status, c.after, err, report.IsPermanent(err), wait, c.from, c.to)
		}
	}
}

// flood is more than anybody reads.
const flood = 256 << 20

func (kit Kit) endless(t *testing.T) {
	for _, status := range []int{200, 400, 500} {
		written := make(chan int, 1)
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			n, chunk := 0, bytes.Repeat([]byte("x"), 1<<20)
			for n < flood {
				m, err := w.Write(chunk)
				if n += m; err != nil {
					break
				}
			}
			written <- n
		})
		_ = kit.tell(t, s, nil) // Either is right, as long as it ends.
		if n := <-written; n >= flood {
			t.Errorf("%d: %d bytes were read", status, n)
		}
	}
}

func (kit Kit) slow(t *testing.T) {
	hold := make(chan struct{})
	wait := func(r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"nothing comes": func(_ http.ResponseWriter, r *http.Request) { wait(r) },
		"no end comes": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_ = http.NewResponseController(w).Flush()
			wait(r)
		},
	} {
		s := serve(t, handler)
		if err := kit.tell(t, s, &http.Client{Timeout: 50 * time.Millisecond}); err == nil || report.IsPermanent(err) {
			t.Errorf("%s: got %v (permanent %v), want an error worth another try", name, err, report.IsPermanent(err))
		}
	}
	close(hold)
}

var redirects = []int{301, 302, 303, 307, 308}

func (kit Kit) elsewhere(t *testing.T) {
	other := serve(t, answers(http.StatusOK, kit.Answer))
	for _, status := range redirects {
		s := serve(t, answers(status, "", "Location", other.URL))
		if err := kit.tell(t, s, nil); !report.IsPermanent(err) {
			t.Errorf("%d: got %v, want a permanent error", status, err)
		}
	}
	if got := other.requests(); len(got) > 0 {
		t.Errorf("another host was asked: %+v", got)
	}
}

func (kit Kit) redirected(t *testing.T) {
	for _, status := range redirects {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/there" {
				http.Redirect(w, r, "/there", status)
				return
			}
			_, _ = io.WriteString(w, kit.Answer)
		})
		err := kit.tell(t, s, nil)
		all := s.requests()
		same := len(all) == 2 && all[1].Method == all[0].Method && all[1].Body == all[0].Body
		if !(err == nil && same) && !(report.IsPermanent(err) && len(all) == 1) {
			t.Errorf("%d: got %v after %+v, want the same request again or a permanent error", status, err, all)
		}
	}
}

func (kit Kit) repeated(t *testing.T) {
	quoted := `"Bearer ` + Token + `"`
	for _, body := range []string{
		Token, quoted, strings.Repeat("x", 290) + Token,
		`{"message":` + quoted + `}`,
		`{"message":"no","errors":` + quoted + `}`,
		`{"message":"no","errors":[` + quoted + `]}`,
		`{"message":"no","errors":[{"message":` + quoted + `}]}`,
		`{"message":{"token":[` + quoted + `]},"error":` + quoted + `}`,
	} {
		for _, status := range slices.Concat([]int{400, 401, 403, 404, 422, 429, 500, 503}, redirects) {
			if err := kit.tell(t, serve(t, answers(status, body, "Retry-After", Token)), nil); err == nil {
				t.Errorf("%d %s: told", status, body)
			}
		}
	}
}
