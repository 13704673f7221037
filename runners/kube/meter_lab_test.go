//go:build lab

package kube_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
)

// meter counts what a process asks of the API, and spoils its watches when it is told to.
type meter struct {
	mu      sync.Mutex
	counts  map[string]int // by `verb resource`, where a verb is that of RBAC
	open    map[*stream]bool
	expired bool
}

// reach puts the meter into the way to a cluster.
func (m *meter) reach(way *rest.Config) {
	way.Wrap(func(next http.RoundTripper) http.RoundTripper { return roundTripper{m, next} })
}

// take returns the counts since the last time.
func (m *meter) take() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := maps.Clone(m.counts)
	clear(m.counts)
	return counts
}

// cut ends all watches in the middle, and tells how many they were.
func (m *meter) cut() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s := range m.open {
		s.ReadCloser.Close()
	}
	return len(m.open)
}

// expire makes the API forget the past, or know it again: a watch that wants to go on gets 410 Gone.
func (m *meter) expire(expired bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expired = expired
}

type roundTripper struct {
	*meter
	next http.RoundTripper
}

const gone = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too old resource version: 1 (2)","reason":"Expired","code":410}`

// RoundTrip implements http.RoundTripper.
func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	verb, resource := asked(request)
	r.mu.Lock()
	if r.counts == nil {
		r.counts, r.open = map[string]int{}, map[*stream]bool{}
	}
	r.counts[verb+" "+resource]++
	expired := r.expired && verb == "watch"
	r.mu.Unlock()
	if expired {
		return &http.Response{
			Status: "410 Gone", StatusCode: http.StatusGone, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(gone)),
		}, nil
	}
	response, err := r.next.RoundTrip(request)
	if err == nil && request.URL.Query().Get("watch") != "" {
		body := &stream{ReadCloser: response.Body, meter: r.meter}
		r.mu.Lock()
		r.open[body] = true
		r.mu.Unlock()
		response.Body = body
	}
	return response, err
}

// stream is what a watch tells.
type stream struct {
	io.ReadCloser
	meter *meter
}

// Read implements io.Reader. A stream that is cut ends as one whose connection was lost.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close forgets the stream.
func (s *stream) Close() error {
	s.meter.mu.Lock()
	delete(s.meter.open, s)
	s.meter.mu.Unlock()
	return s.ReadCloser.Close()
}

// asked is the verb and the resource of a request. A watch that begins with all that is there is a list.
func asked(r *http.Request) (verb, resource string) {
	parts := strings.Split(r.URL.Path, "/")
	for i, part := range parts {
		if part == "namespaces" && i+2 < len(parts) {
			parts = parts[i+2:]
			break
		}
	}
	resource = parts[0]
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	switch query := r.URL.Query(); {
	case query.Get("sendInitialEvents") == "true":
		return "list", resource
	case query.Get("watch") != "":
		return "watch", resource
	case r.Method == http.MethodPost:
		return "create", resource
	case r.Method != http.MethodGet:
		return strings.ToLower(r.Method), resource
	case len(parts) == 1:
		return "list", resource
	}
	return "get", resource
}
