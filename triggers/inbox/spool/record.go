package spool

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"

	"github.com/millrace-ci/millrace/triggers"
)

// A record is a frame (see segment.go) and, after it,
//
//	4 bytes  length of the head, little endian as all numbers here
//	n bytes  the head, JSON
//	1 byte   how the body is written: formNone, formPlain or formS2
//	rest     the body
const (
	formNone  = iota // a body that is nil
	formPlain        // as it is
	formS2           // an S2 block: a third of a push, at once
)

const (
	compressFrom = 512     // bytes from which compressing a body saves more than it costs
	maxBody      = 1 << 28 // bytes of a body, so that a length that was never ours costs no memory
)

// head is what a record says of a delivery beside its body.
type head struct {
	triggers.Delivery
	// RawKey is Delivery.Key, of which JSON would change what is no UTF-8: the pair would be another one.
	RawKey []byte `json:"raw_key"`
}

// encode returns d as a record, with room for its frame.
func encode(d triggers.Delivery) ([]byte, error) {
	if len(d.Body) > maxBody {
		return nil, fmt.Errorf("a body of %d bytes is too large for a spool, which takes %d", len(d.Body), maxBody)
	}
	h, err := json.Marshal(head{d, []byte(d.Key)})
	if err != nil {
		return nil, err
	}
	form, body := byte(formNone), d.Body
	switch {
	case len(d.Body) >= compressFrom:
		form, body = formS2, s2.Encode(nil, d.Body)
	case d.Body != nil:
		form = formPlain
	}
	rec := make([]byte, frameBytes, frameBytes+4+len(h)+1+len(body))
	rec = binary.LittleEndian.AppendUint32(rec, uint32(len(h)))
	rec = append(rec, h...)
	rec = append(rec, form)
	return append(rec, body...), nil
}

// decode reads what stands in a record after its frame. It shares nothing with payload.
func decode(payload []byte) (triggers.Delivery, error) {
	d, body, err := decodeHead(payload)
	if err != nil {
		return triggers.Delivery{}, err
	}
	d.Body, err = decodeBody(body[0], body[1:])
	return d, err
}

// decodeHead reads the delivery but for its body, and returns the form and the body as they are written.
func decodeHead(payload []byte) (d triggers.Delivery, body []byte, err error) {
	if len(payload) < 4 {
		return d, nil, errors.New("no head")
	}
	n := int64(binary.LittleEndian.Uint32(payload))
	if n >= int64(len(payload)-4) {
		return d, nil, errors.New("the head is longer than the record")
	}
	var h head
	if err := json.Unmarshal(payload[4:4+n], &h); err != nil {
		return d, nil, fmt.Errorf("read head: %w", err)
	}
	h.Key = string(h.RawKey)
	return h.Delivery, payload[4+n:], nil
}

func decodeBody(form byte, packed []byte) ([]byte, error) {
	switch form {
	case formNone:
		return nil, nil
	case formPlain:
		return append([]byte{}, packed...), nil
	case formS2:
		if n, err := s2.DecodedLen(packed); err != nil || n > maxBody {
			return nil, fmt.Errorf("the body is said to have %d bytes: %w", n, errors.Join(err, errDamaged))
		}
		return s2.Decode(nil, packed)
	}
	return nil, fmt.Errorf("the body is written in form %d, which this Millrace cannot read", form)
}
