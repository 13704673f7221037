package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of what a notifier over HTTP reads and waits for.
const (
	maxAnswer  = 8 << 10 // bytes of an answer that are read
	maxReason  = 300     // bytes of it that are shown
	maxWait    = time.Hour
	limitWait  = time.Minute // when a limit was hit and no time was named, as GitHub asks
	tellingFor = 15 * time.Second
)

// Refusal is an answer that was not a success.
type Refusal struct {
	Status int    // of HTTP
	Reason string // the other side's own words, shortened
}

func (r *Refusal) Error() string {
	text := fmt.Sprintf("answered %d %s", r.Status, http.StatusText(r.Status))
	if r.Reason != "" {
		text += ": " + strconv.Quote(r.Reason)
	}
	return text
}

// Client returns a copy of c, or of a client with a time limit if c is nil, that follows redirects only to the same
// host and with the same method: a token goes nowhere else, and a POST does not become a GET that seems to succeed.
func Client(c *http.Client) *http.Client {
	if c == nil {
		c = &http.Client{Timeout: tellingFor}
	}
	bounded := *c
	bounded.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0]
		if len(via) > 3 || req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme || req.Method != first.Method {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return &bounded
}

// Send sends one telling and makes of the answer what Notify returns. 2xx is no error. Otherwise the error holds a
// *Refusal: a limit that was hit is a RetryAfter, 5xx and 408 are worth another try, and everything else is Permanent.
// The value of the Authorization header never shows.
func Send(c *http.Client, req *http.Request) (Answer, error) {
	resp, err := c.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // Told, whatever becomes of the rest of the answer.
		return Answer{Status: resp.StatusCode}, nil
	}
	err = refused(resp, req)
	return AnswerOf(err), err
}

// AnswerOf is the answer that an error holds, the zero Answer if none.
func AnswerOf(err error) Answer {
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return Answer{r.Status, r.Reason}
	}
	return Answer{}
}

// refused is what Send makes of an answer that is no success.
func refused(resp *http.Response, req *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	refusal := &Refusal{Status: resp.StatusCode, Reason: reason(body, req.Header.Get("Authorization"))}
	wait, limited := limit(resp, refusal.Reason)
	switch {
	case limited:
		return RetryAfter(refusal, wait)
	case err != nil, resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout:
		return refusal
	}
	return Permanent(refusal)
}

// limit tells whether an answer means 'too much', and how long it asks to wait. Sources: RFC 9110 10.2.3 (Retry-After),
// and GitHub's 'Rate limits for the REST API', by which a 403 may mean the same as a 429.
func limit(resp *http.Response, reason string) (time.Duration, bool) {
	after, named := retryAfter(resp.Header)
	spent := resp.Header.Get("X-Ratelimit-Remaining") == "0"
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
	case http.StatusForbidden, http.StatusServiceUnavailable:
		inWords := strings.Contains(strings.ToLower(reason), "rate limit")
		if !named && (resp.StatusCode != http.StatusForbidden || !spent && !inWords) {
			return 0, false
		}
	default:
		return 0, false
	}
	if !named {
		after = limitWait
		// The header is on every answer; of another limit than the spent one it tells nothing.
		if reset, err := strconv.ParseInt(resp.Header.Get("X-Ratelimit-Reset"), 10, 64); err == nil && spent {
			after = time.Until(time.Unix(reset, 0))
		}
	}
	return min(max(after, time.Second), maxWait), true
}

func retryAfter(h http.Header) (time.Duration, bool) {
	v := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(v); err == nil && seconds >= 0 {
		return min(time.Duration(seconds), maxWait/time.Second) * time.Second, true
	}
	if at, err := http.ParseTime(v); err == nil {
		return time.Until(at), true
	}
	return 0, false
}

// reason is what an answer gives as its reason: "message" and "errors" of JSON, as forges write it, else its text.
// authorization is what must not show, should the other side repeat it.
func reason(body []byte, authorization string) string {
	var told struct {
		Message string
		Errors  json.RawMessage
	}
	text := string(body)
	_ = json.Unmarshal(body, &told) // What is no JSON is shown as it is.
	if told.Message != "" {
		text = strings.Join(append([]string{told.Message}, details(told.Errors)...), ": ")
	}
	if f := strings.Fields(authorization); len(f) > 0 {
		text = strings.ReplaceAll(text, f[len(f)-1], "***")
	}
	return Cut(strings.TrimSpace(text), maxReason)
}

// details are the texts in GitHub's "errors": a list of objects with a message, of which older answers are, a list of
// texts, or one text.
func details(raw json.RawMessage) (all []string) {
	var one string
	if json.Unmarshal(raw, &one) == nil && one != "" {
		return []string{one}
	}
	var list []json.RawMessage
	_ = json.Unmarshal(raw, &list) // Anything else has no texts.
	for _, item := range list {
		var object struct{ Message string }
		if text := ""; json.Unmarshal(item, &text) == nil {
			object.Message = text
		} else if json.Unmarshal(item, &object) != nil {
			continue
		}
		if object.Message != "" {
			all = append(all, object.Message)
		}
	}
	return all
}

// Cut is text in at most n characters; what was cut off is shown by an ellipsis.
func Cut(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n-1]) + "…"
}
