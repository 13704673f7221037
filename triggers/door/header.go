package door

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Bounds of the headers that are kept. Forges send about a dozen, none of them over 200 bytes.
const (
	maxHeaders     = 32
	maxHeaderBytes = 1024
)

// keptHeader picks what a replay needs. What is picked is kept as it came; where that is more than any forge sends, the
// delivery is refused, and the errors are for its sender.
func keptHeader(h http.Header) (http.Header, error) {
	kept := make(http.Header, 16)
	values := 0
	for name, vs := range h {
		if !replayed(name) {
			continue
		}
		if values += len(vs); values > maxHeaders {
			return nil, fmt.Errorf("there are more than %d headers about the event", maxHeaders)
		}
		for _, v := range vs {
			if err := plain(v); err != nil {
				return nil, fmt.Errorf("header %.64q: %w", name, err)
			}
		}
		kept[name] = vs
	}
	kept["Content-Type"] = []string{"application/json"} // the body's, after form decoding
	return kept, nil
}

// replayed tells whether a header says what a delivery is. A name that speaks of a secret never does.
func replayed(name string) bool {
	switch name {
	case "User-Agent", "Idempotency-Key":
		return true
	}
	brand, rest, ok := strings.Cut(strings.TrimPrefix(name, "X-"), "-")
	if !ok || !strings.HasPrefix(name, "X-") {
		return false
	}
	switch brand {
	case "Github", "Gitea", "Gogs", "Forgejo", "Gitlab":
		return !strings.Contains(rest, "Signature") && !strings.Contains(rest, "Token") && !strings.Contains(rest, "Secret")
	}
	return false
}

// plain refuses what no forge puts into a header.
func plain(value string) error {
	if len(value) > maxHeaderBytes {
		return fmt.Errorf("its value is longer than %d bytes", maxHeaderBytes)
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return errors.New("its value is not plain ASCII")
		}
	}
	return nil
}
