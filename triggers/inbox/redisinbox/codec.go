package redisinbox

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Forms that a body is kept in. A body that is nil has no form.
const (
	formPlain = "plain"
	formZstd  = "zstd"
)

// compressFrom is the size in bytes from which compressing a body saves more than it costs.
const compressFrom = 512

// codec writes and reads bodies. It is safe for concurrent use.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec() (*codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, fmt.Errorf("start compressor: %w", err)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		return nil, fmt.Errorf("start decompressor: %w", err)
	}
	return &codec{enc, dec}, nil
}

// pack returns how body is written, and body written so. It does not change body, and may return it.
func (c *codec) pack(body []byte) (form string, packed []byte) {
	switch {
	case body == nil:
		return "", nil
	case len(body) < compressFrom:
		return formPlain, body
	}
	return formZstd, c.enc.EncodeAll(body, make([]byte, 0, len(body)/4))
}

// unpack is the reverse of pack.
func (c *codec) unpack(form, packed string) ([]byte, error) {
	switch form {
	case "":
		return nil, nil
	case formPlain:
		return []byte(packed), nil
	case formZstd:
		body, err := c.dec.DecodeAll([]byte(packed), nil)
		if err != nil {
			return nil, fmt.Errorf("decompress body: %w", err)
		}
		return body, nil
	}
	return nil, fmt.Errorf("body is written as %q, which this Millrace cannot read", form)
}
