package door

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// smallBody is the length in bytes up to which bodies are read without asking whether there is room.
const smallBody = 64 << 10

// roomWithin is how long a large body waits for others to be done.
const roomWithin = 2 * time.Second

// read returns the whole body; release is to be called when it is not needed any more. The buffer grows with what has
// come, not with what was announced, so that nobody takes our memory by a header.
func (d *Door) read(w http.ResponseWriter, r *http.Request) (body []byte, release func(), refused *answer) {
	release = func() {}
	limit := d.cfg.MaxBody
	if r.ContentLength > limit {
		return nil, release, d.tooLong()
	}
	if r.ContentLength >= 0 {
		limit = r.ContentLength
	}
	from := http.MaxBytesReader(w, r.Body, d.cfg.MaxBody)
	body = make([]byte, 0, min(limit+1, smallBody)) // 1 more, so that the end is seen before the buffer is full
	for {
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, release, nil
		}
		if err != nil {
			return nil, release, d.unread(err)
		}
		if len(body) < cap(body) {
			continue
		}
		if cap(body) == smallBody {
			if !d.room(r.Context(), limit) {
				busy := fail("too many large deliveries at once: deliver it again in a while")
				return nil, release, &busy
			}
			release = func() { d.held.Release(limit) }
		}
		body = append(make([]byte, 0, min(2*int64(cap(body)), limit+1)), body...)
	}
}

// room waits a little until size bytes more may be held.
func (d *Door) room(ctx context.Context, size int64) bool {
	ctx, cancel := context.WithTimeout(ctx, roomWithin)
	defer cancel()
	return d.held.Acquire(ctx, size) == nil
}

// unread is the answer to a body whose reading ended with err.
func (d *Door) unread(err error) *answer {
	if long := (*http.MaxBytesError)(nil); errors.As(err, &long) {
		return d.tooLong()
	}
	a := refuse(http.StatusBadRequest, "the body ended early")
	return &a
}

func (d *Door) tooLong() *answer {
	a := refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes, which is what this door reads", d.cfg.MaxBody))
	return &a
}

// decode returns the JSON object in a body. It looks at its first byte only; the errors are for the sender.
func decode(h http.Header, raw []byte) ([]byte, error) {
	if e := h.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, fmt.Errorf("the body is encoded as %q: send it as it is", e)
	}
	body := raw
	switch kind := h.Get("Content-Type"); mediaType(kind) {
	case "application/json":
	case "application/x-www-form-urlencoded":
		var err error
		if body, err = payload(raw); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("the content type is %q: choose application/json for this hook", kind)
	}
	if len(body) == 0 || body[0] != '{' {
		return nil, errors.New("the body is no JSON object: it does not begin with {")
	}
	return body, nil
}

// mediaType is a content type without its parameters, "" when it is malformed.
func mediaType(contentType string) string {
	if contentType == "application/json" { // what forges send
		return contentType
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	return media
}

// payload is the value of the field payload of a form. The other fields cost nothing but the time to step over them.
func payload(form []byte) ([]byte, error) {
	for len(form) > 0 {
		var field []byte
		field, form, _ = bytes.Cut(form, []byte("&"))
		if value, ok := bytes.CutPrefix(field, []byte("payload=")); ok {
			text, err := url.QueryUnescape(string(value))
			if err != nil {
				return nil, fmt.Errorf("the field payload of the form is malformed: %w", err)
			}
			return []byte(text), nil
		}
	}
	return nil, errors.New("the form has no field payload: choose application/json for this hook")
}
