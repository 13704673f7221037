package redisstore_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/redisstore"
)

// FuzzRun lets anything at all stand where a run is stored: it is an error, or a run that can be asked everything, be told
// facts, and that reads the same when it is written again.
func FuzzRun(f *testing.F) {
	f.Add([]byte(previousPlan), previousHead, previousA, previousB, "2")
	f.Add([]byte(`{"stages":[{"tasks":[{"name":"a"},{"name":"b"}]}],"lane":{"name":"l"}}`), `2 {"state":"waiting"}`, `1 {"state":"pending"}`, "1 {}", "1")
	f.Add([]byte(`{"stages":[null,{"tasks":null}]}`), "1 null", "1 []", "3 {}", "-1")
	f.Add([]byte(`{"id":"x","stages":[{"tasks":[{"name":"a"},{"name":"a"},{"name":""}]}]}`),
		`1 {"state":"canceling","ending":{},"told":[null,{"to":"status","error":"x"}]}`, `1 {"state":"running","attempt":-1,"past":[null]}`, "", "9")
	at := time.Unix(1e9, 0).UTC()
	f.Fuzz(func(t *testing.T, plan []byte, head, a, b, version string) {
		r, err := redisstore.ReadRun(plan, map[string]string{"head": head, "t:a": a, "t:b": b, "version": version})
		if err != nil {
			return
		}
		_, _, _, _ = r.Line(), r.Deadline(), r.Outstanding(), r.Settled()
		for _, fact := range []run.Fact{
			run.Admitted{At: at},
			run.Started{Task: "a", Attempt: 1, At: at},
			run.Ended{Task: "a", Attempt: 1, At: at},
			run.Due{Task: "a", Attempt: 1, At: at},
			run.Cancel{By: "x", At: at},
			run.Expired{At: at},
			run.Gone{Task: "b", Attempt: 1, At: at},
		} {
			if next, _, err := r.Apply(fact); err == nil {
				_ = next.Outstanding()
			}
		}
		first, hash, err := redisstore.WriteRun(r)
		if err != nil {
			return // A time that JSON has no words for: it could only be read from what we never write.
		}
		again, err := redisstore.ReadRun(first, hash)
		again.Version = r.Version
		if diff := cmp.Diff(r, again, cmpopts.EquateEmpty(), cmpopts.EquateComparable()); err != nil || diff != "" {
			t.Errorf("written and read again: %v (-want +got):\n%s", err, diff)
		}
	})
}

// FuzzPacked lets anything at all stand where a snapshot or a plan is stored compressed.
func FuzzPacked(f *testing.F) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{previousPlan, `{"delivery":"d","explanations":[{"pipeline":"p","matched":true}]}`, "null"} {
		f.Add(string(enc.EncodeAll([]byte(text), []byte("1 "))))
	}
	f.Add(string(enc.EncodeAll(make([]byte, 1<<20), []byte("1 "))))
	f.Add("1 (\xb5/\xfd")
	f.Add("2 {}")
	f.Fuzz(func(t *testing.T, value string) {
		for _, into := range []any{new(run.Snapshot), new(store.Plan)} {
			_ = redisstore.Unpack(value, into) // It ends, within its bound of memory.
		}
	})
}

// FuzzWatch lets anything at all stand where a repository to look at is stored.
func FuzzWatch(f *testing.F) {
	f.Add("1e12", `1 {"forge":"gitea","name":"shop/api"}`, `1 {"seen":"2026-11-23T09:00:00Z","suspicions":{"refs/heads/main":{}}}`)
	f.Add("NaN", "1 null", "")
	f.Add("-inf", "2 {}", "1 []")
	f.Fuzz(func(t *testing.T, due, repo, look string) {
		w, err := redisstore.ReadWatch(due, repo, look)
		if err == nil && w.Due.Location() != time.UTC {
			t.Errorf("due at %v", w.Due)
		}
	})
}
