package redisinbox

import (
	"cmp"
	"fmt"

	"github.com/klauspost/compress/s2"
)

// Forms that a body is kept in. A body that is nil has no form.
const (
	formPlain = "plain"
	formS2    = "s2"
)

// compressFrom is the length in bytes from which compressing a body saves more than it costs.
const compressFrom = 512

// maxBody bounds, in bytes, what a body may grow to, so that a length that was never ours costs no memory.
const maxBody = 1 << 28

// pack returns how body is written, and body written so. It does not change body, and may return it. S2 makes a push
// three times smaller in a fifth of the time that zstd takes to make it four times smaller, and the sender is waiting.
func pack(body []byte) (form string, packed []byte) {
	switch {
	case body == nil:
		return "", nil
	case len(body) < compressFrom:
		return formPlain, body
	}
	return formS2, s2.Encode(nil, body)
}

// unpack is the reverse of pack.
func unpack(form, packed string) ([]byte, error) {
	switch form {
	case "":
		return nil, nil
	case formPlain:
		return []byte(packed), nil
	case formS2:
		if n, err := s2.DecodedLen([]byte(packed)); err != nil || n > maxBody {
			return nil, fmt.Errorf("decompress body: its length cannot be right: %d bytes, %w", n, cmp.Or(err, s2.ErrTooLarge))
		}
		body, err := s2.Decode(nil, []byte(packed))
		if err != nil {
			return nil, fmt.Errorf("decompress body: %w", err)
		}
		return body, nil
	}
	return nil, fmt.Errorf("body is written as %q, which this Millrace cannot read", form)
}
