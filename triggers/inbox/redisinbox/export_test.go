package redisinbox

import "github.com/millrace-ci/millrace/triggers/inbox"

// ReadRecord reads a delivery from the fields of its hash.
func ReadRecord(v, head, form, body string, planned any) (inbox.Record, error) {
	r, err := record(v, head, planned)
	if err == nil {
		r.Body, err = unpack(form, body)
	}
	return r, err
}

// Pack is how a body is kept.
func Pack(body []byte) (form string, packed []byte) { return pack(body) }
