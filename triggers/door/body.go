package door

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
)

// read returns the whole body, and how much of d.held is to be released when it is not needed any more. The buffer grows with what has
// come, not with what was announced, so that nobody takes our memory by a header.
func (d *Door) read(w http.ResponseWriter, r *http.Request) (body []byte, held int64, refused *answer) {
	limit := d.cfg.MaxBody
	if r.ContentLength > limit {
		return nil, 0, d.tooLong()
	}
	if r.ContentLength >= 0 {
		limit = r.ContentLength
	}
	from := http.MaxBytesReader(w, r.Body, d.cfg.MaxBody)
	body = make([]byte, 0, min(limit+1, smallBody)) // 1 more, so that the end is seen before the buffer is full
	l := large{room: d.held, conn: w, next: smallBody}
	for {
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			l.arrived()
			return body, l.held, nil
		}
		if err != nil {
			return nil, l.held, d.unread(err)
		}
		l.progress(len(body))
		if len(body) < cap(body) {
			continue
		}
		size := min(2*int64(cap(body)), limit+1)
		if !l.grow(r.Context(), size-int64(cap(body))) {
			busy := fail("too many large deliveries at once: deliver it again in a while")
			return nil, l.held, &busy
		}
		body = append(make([]byte, 0, size), body...)
	}
}

// unread is the answer to a body whose reading ended with err.
func (d *Door) unread(err error) *answer {
	if long := (*http.MaxBytesError)(nil); errors.As(err, &long) {
		return d.tooLong()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		a := refuse(http.StatusRequestTimeout, "the body came too slowly: deliver it again")
		return &a
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
