package redisq

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/queue"
)

// valueField holds an item's value as JSON. Its name is the version of the entries that push.lua writes.
const valueField = "v1"

// entry is what the server handed out.
type entry struct {
	id         string // in the stream
	deliveries int64  // of this entry, this one included
	expired    bool   // it was taken over from a holder whose lease ran out
	fields     map[string]any
}

// readEntry reads one element of lease.lua's answer.
func readEntry(answer any) (entry, error) {
	parts, ok := answer.([]any)
	if !ok || len(parts) != 4 {
		return entry{}, fmt.Errorf("script answered %v, want four parts an entry", answer)
	}
	id, ok1 := parts[0].(string)
	deliveries, ok2 := parts[1].(int64)
	expired, ok3 := parts[2].(int64)
	flat, ok4 := parts[3].([]any)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return entry{}, fmt.Errorf("script answered %v, want an id, two numbers and fields", answer)
	}
	fields := make(map[string]any, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		name, _ := flat[i].(string)
		fields[name] = flat[i+1]
	}
	return entry{id, deliveries, expired == 1, fields}, nil
}

func (e entry) field(name string) string {
	value, _ := e.fields[name].(string)
	return value
}

func (e entry) token() string { return e.id + "/" + strconv.FormatInt(e.deliveries, 10) }

// lease makes an entry a lease of worker. On an error it has as much of it as can be read, and what is needed to end it.
func lease[T any](e entry, worker string) (queue.Lease[T], error) {
	pushed, earlier, err := e.history()
	l := queue.Lease[T]{
		Item: queue.Item[T]{ID: e.field("id")}, Worker: worker, Token: e.token(),
		Tries: int(earlier + e.deliveries), Pushed: time.UnixMilli(pushed),
	}
	errs := []error{err}
	if l.Item.ID == "" {
		errs = append(errs, errors.New("entry has no id"))
	}
	value, ok := e.fields[valueField].(string)
	if !ok {
		errs = append(errs, fmt.Errorf("entry has no field %s: it is of another version", valueField))
	} else if err := json.Unmarshal([]byte(value), &l.Item.Value); err != nil {
		l.Item.Value = *new(T)
		errs = append(errs, fmt.Errorf("value: %w", err))
	}
	return l, errors.Join(errs...)
}

// history is when the item was put in line, in Unix milliseconds, and how often it was handed out under other entries.
// An entry's id begins with the time of its push; only one that was returned says more.
func (e entry) history() (pushed, earlier int64, err error) {
	at, _, _ := strings.Cut(e.id, "-")
	if pushed, err = strconv.ParseInt(at, 10, 64); err != nil {
		return 0, 0, fmt.Errorf("entry id: %w", err)
	}
	if first := e.field("pushed"); first != "" {
		if pushed, err = strconv.ParseInt(first, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("push time: %w", err)
		}
	}
	if tries := e.field("tries"); tries != "" {
		if earlier, err = strconv.ParseInt(tries, 10, 32); err != nil {
			return pushed, 0, fmt.Errorf("tries: %w", err)
		}
	}
	return pushed, earlier, nil
}
