package redisstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
)

// Every value is written as the version of its form, a space, and JSON, compressed where that is said. A field that is
// added to the JSON needs no new version, one that changes its meaning does.
const form = "1"

// formMore is the form of the head of a run that has a lane, or more listeners than its own status. It reads as form 1
// does; but a Millrace of before those would start the run without asking, and not tell all of it, and so leaves it alone.
const formMore = "2"

// maxUnpacked bounds what a compressed value may grow to, in bytes.
const maxUnpacked = 64 << 20

// head is what a run's hash says of the run itself.
type head struct {
	State      run.State   `json:"state"`
	Reason     string      `json:"reason,omitempty"`
	AdmittedAt time.Time   `json:"admitted_at,omitzero"`
	StartedAt  time.Time   `json:"started_at,omitzero"`
	EndedAt    time.Time   `json:"ended_at,omitzero"`
	Ending     *run.Ending `json:"ending,omitempty"`
	Told       []run.Told  `json:"told,omitempty"`
	ToldBefore int         `json:"told_before,omitempty"`
}

// fields is what differs between two states of a run, as field, value, field, value. With before nil it is everything.
func fields(before *run.Run, r run.Run) ([]any, error) {
	var changed []any
	add := func(form, field string, v any) error {
		value, err := encodeAs(form, v)
		changed = append(changed, field, value)
		return err
	}
	if before == nil || !r.SameHead(*before) {
		of := form
		if r.Plan.Lane != nil || r.Plan.Status != (pipeline.Status{}) {
			of = formMore
		}
		if err := add(of, fieldHead, head{r.State, r.Reason, r.AdmittedAt, r.StartedAt, r.EndedAt, r.Ending, r.Told, r.ToldBefore}); err != nil {
			return nil, fmt.Errorf("write head: %w", err)
		}
	}
	for i := range r.Tasks {
		t := &r.Tasks[i]
		if before != nil && t.Same(&before.Tasks[i]) {
			continue
		}
		if err := add(form, fieldTask+t.Name, t); err != nil {
			return nil, fmt.Errorf("write task %s: %w", t.Name, err)
		}
	}
	return changed, nil
}

// assemble makes a run of its snapshot and its hash.
func assemble(plan *run.Snapshot, hash map[string]string) (run.Run, error) {
	var h head
	written := hash[fieldHead]
	if rest, ok := strings.CutPrefix(written, formMore+" "); ok {
		written = form + " " + rest
	}
	if err := decode(written, &h); err != nil {
		return run.Run{}, fmt.Errorf("read head: %w", err)
	}
	version, err := strconv.Atoi(hash[fieldVersion])
	if err != nil {
		return run.Run{}, fmt.Errorf("read version: %w", err)
	}
	r := run.Run{
		Plan: plan, Version: version, State: h.State, Reason: h.Reason,
		AdmittedAt: h.AdmittedAt, StartedAt: h.StartedAt, EndedAt: h.EndedAt, Ending: h.Ending, Told: h.Told, ToldBefore: h.ToldBefore,
	}
	for stage, sp := range plan.Stages {
		for i, tp := range sp.Tasks {
			t := run.Task{Name: tp.Name, Stage: stage, Place: i}
			if err := decode(hash[fieldTask+tp.Name], &t); err != nil {
				return run.Run{}, fmt.Errorf("read task %s: %w", tp.Name, err)
			}
			r.Tasks = append(r.Tasks, t)
		}
	}
	return r, nil
}

func encode(v any) (string, error) { return encodeAs(form, v) }

func encodeAs(form string, v any) (string, error) {
	data, err := json.Marshal(v)
	return form + " " + string(data), err
}

func decode(value string, v any) error {
	data, err := body(value)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(data), v)
}

// body takes the version off a value.
func body(value string) (string, error) {
	version, data, ok := strings.Cut(value, " ")
	switch {
	case value == "":
		return "", errors.New("it is missing")
	case !ok:
		return "", errors.New("it says not in which form it is")
	case version != form:
		return "", fmt.Errorf("it is in form %.20q and this Millrace reads %s: run the newer Millrace that wrote it", version, form)
	}
	return data, nil
}

// codec compresses values. It is safe for concurrent use.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec() codec {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err) // The options are constants.
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxUnpacked))
	if err != nil {
		panic(err)
	}
	return codec{enc, dec}
}

// pack writes v compressed, and tells how many bytes it has uncompressed.
func (c codec) pack(v any) (value []byte, size int, err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, 0, err
	}
	return c.enc.EncodeAll(data, []byte(form+" ")), len(data), nil
}

// unpack is the reverse of pack.
func (c codec) unpack(value string, v any) (size int, err error) {
	packed, err := body(value)
	if err != nil {
		return 0, err
	}
	data, err := c.dec.DecodeAll([]byte(packed), nil)
	if err != nil {
		return 0, fmt.Errorf("decompress: %w", err)
	}
	return len(data), json.Unmarshal(data, v)
}
