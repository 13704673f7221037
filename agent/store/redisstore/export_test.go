package redisstore

import (
	"encoding/json"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// ReadRun reads a run that is written as a snapshot, not compressed, and the fields of a hash.
func ReadRun(plan []byte, hash map[string]string) (run.Run, error) {
	var p run.Snapshot
	if err := json.Unmarshal(plan, &p); err != nil {
		return run.Run{}, err
	}
	return assemble(&p, hash)
}

// WriteRun writes a run as ReadRun reads it.
func WriteRun(r run.Run) (plan []byte, hash map[string]string, err error) {
	changed, err := fields(nil, r)
	if err != nil {
		return nil, nil, err
	}
	hash = map[string]string{fieldVersion: "1"}
	for i := 0; i < len(changed); i += 2 {
		hash[changed[i].(string)] = changed[i+1].(string)
	}
	plan, err = json.Marshal(r.Plan)
	return plan, hash, err
}

// Unpack reads a compressed value.
func Unpack(value string, v any) error {
	_, err := newCodec().unpack(value, v)
	return err
}

// ReadWatch reads a repository that is due.
func ReadWatch(due, repo, look string) (store.Watch, error) { return watchOf(due, repo, look) }
