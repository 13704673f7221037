package redisstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/redisstore"
	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/triggers"
)

// TestOneUnreadableRun: what a newer Millrace wrote, and what is damaged, keeps nobody from the other runs of its lane and
// of a page: it stands there as what it is.
func TestOneUnreadableRun(t *testing.T) {
	t.Parallel()
	const key = "{millrace}:run:b"
	for name, spoil := range map[string]func(rdb *redis.Client){
		"a head of a newer form": func(rdb *redis.Client) { rdb.HSet(t.Context(), key, "head", "7 {}") },
		"a task that is missing": func(rdb *redis.Client) { rdb.HDel(t.Context(), key, "t:t0") },
		"no snapshot":            func(rdb *redis.Client) { rdb.Del(t.Context(), key+":plan") },
		"half a snapshot":        func(rdb *redis.Client) { rdb.SetRange(t.Context(), key+":plan", 20, "nonsense") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := redistest.Start(t).Client()
			for _, id := range []string{"a", "b", "c"} {
				r := newRun(id, 1)
				r.Plan.Lane = &run.LanePlan{Name: "l", Concurrency: pipeline.Concurrency{Limit: 2, WhenFull: pipeline.Queue, MaxQueue: 20}}
				r, _ = run.New(r.Plan)
				create(t, redisstore.New(rdb, redisstore.Config{}), r)
			}
			spoil(rdb)
			s := redisstore.New(rdb, redisstore.Config{}) // that knows no snapshot
			if _, err := s.Load(t.Context(), "b"); !errors.Is(err, store.ErrUnreadable) {
				t.Errorf("load: got %v, want %v", err, store.ErrUnreadable)
			}
			lane, err := s.Lane(t.Context(), "l")
			look(t, lane, err, "a b c")
			page, _, err := s.List(t.Context(), store.Filter{Repo: "shop/api", Commit: "0123456789"}, "", 10)
			look(t, page, err, "c b a")
			if told := lane.Admit(time.Now()); len(told) > 0 {
				t.Errorf("told in the lane, whose second may run: %v", told)
			}
		})
	}
}

// look fails the test unless the runs are those, and the one called b stands there as unreadable, and why.
func look(t *testing.T, runs []run.Run, err error, want string) {
	t.Helper()
	var got []string
	for _, r := range runs {
		got = append(got, r.Plan.ID)
		if sick := r.Plan.ID == "b"; sick != (r.State == run.Unreadable) || sick != strings.HasPrefix(r.Reason, "this run cannot be read: ") {
			t.Errorf("run %s is %s: %s", r.Plan.ID, r.State, r.Reason)
		}
		if !r.Plan.CreatedAt.Equal(time.UnixMilli(1e12)) {
			t.Errorf("run %s was created at %v", r.Plan.ID, r.Plan.CreatedAt)
		}
	}
	if diff := cmp.Diff(strings.Fields(want), got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestDueBehindManyUnreadable: many repositories that cannot be read are passed over.
func TestDueBehindManyUnreadable(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	r := redisstore.NewRefs(rdb)
	at := time.UnixMilli(1e12).UTC()
	if err := r.Hurry(t.Context(), at, store.Repo{Forge: "gitea", Repository: triggers.Repository{Name: "shop/api"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		name := fmt.Sprint("gitea:newer/", i)
		rdb.ZAdd(t.Context(), "{millrace}:refs:due", redis.Z{Score: 1, Member: name})
		rdb.HSet(t.Context(), "{millrace}:refs:repos", name, "2 {}")
	}
	for _, limit := range []int{1, 7, 10, 20, 21} {
		due, err := r.Due(t.Context(), at, limit)
		if err != nil || len(due) != 1 || due[0].Name != "shop/api" {
			t.Errorf("due, at most %d: got %+v, %v, want the one that can be read", limit, due, err)
		}
	}
	if due, err := r.Due(t.Context(), at.Add(-time.Second), 7); err != nil || len(due) != 0 {
		t.Errorf("due before it is: got %+v, %v, want none", due, err)
	}
}
