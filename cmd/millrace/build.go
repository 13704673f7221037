package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/logs/bloblogs"
	"github.com/millrace-ci/millrace/agent/logs/memlogs"
	"github.com/millrace-ci/millrace/agent/logs/redislogs"
	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/memstore"
	"github.com/millrace-ci/millrace/agent/store/redisstore"
	"github.com/millrace-ci/millrace/cmd/millrace/config"
	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/queue"
	"github.com/millrace-ci/millrace/queue/memq"
	"github.com/millrace-ci/millrace/queue/redisq"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/bucketinbox"
	"github.com/millrace-ci/millrace/triggers/inbox/meminbox"
	"github.com/millrace-ci/millrace/triggers/inbox/redisinbox"
)

// leaseTime is how long an agent that died keeps what it held from the others.
const leaseTime = 10 * time.Second

// memory is what remembers: in Redis, or in this process where there is none.
type memory struct {
	queues agent.Queues
	inbox  inbox.Inbox
	runs   store.Runs
	plans  store.Plans
	refs   store.Refs
	logs   logs.Logs
}

// memoryIn makes the parts that remember. rdb is nil where there is no Redis.
func memoryIn(rdb *redis.Client, c *config.Config, lease time.Duration, m *metrics.Queue, log *slog.Logger) (memory, error) {
	if rdb == nil {
		return inProcess(lease), nil
	}
	box, err := redisinbox.New(redisinbox.Config{Rdb: rdb, Retention: c.Retention.Deliveries})
	if err != nil {
		return memory{}, err
	}
	bucket, err := openBucket(filepath.Join(c.Data, "bucket"))
	if err != nil {
		return memory{}, err
	}
	kept, err := openLogs(c)
	if err != nil {
		return memory{}, err
	}
	runs := redisstore.New(rdb, redisstore.Config{KeepPlans: c.Retention.Deliveries})
	live := redislogs.New(rdb, redislogs.Config{KeepFor: c.Retention.Runs})
	mem := memory{inbox: bucketinbox.New(box, bucket), runs: runs, plans: runs, refs: redisstore.NewRefs(rdb), logs: bloblogs.New(live, kept)}
	lines := redisLines{rdb: rdb, lease: lease, metrics: m, log: log}
	mem.queues, err = lines.queues()
	return mem, err
}

func inProcess(lease time.Duration) memory {
	runs := memstore.New()
	cfg := memq.Config{LeaseTime: lease}
	return memory{
		inbox: meminbox.New(), runs: runs, plans: runs, refs: memstore.NewRefs(), logs: memlogs.New(),
		queues: agent.Queues{
			Plan: memq.New[string](cfg), Report: memq.New[string](cfg), Reap: memq.New[string](cfg), Gaps: memq.New[string](cfg),
			Work: onePerLine(func(string) queue.Queue[agent.Attempt] { return memq.New[agent.Attempt](cfg) }),
		},
	}
}

// redisLines makes queues in Redis.
type redisLines struct {
	rdb     *redis.Client
	lease   time.Duration
	metrics *metrics.Queue
	log     *slog.Logger
}

func (l redisLines) queues() (agent.Queues, error) {
	plan, err1 := redisLine[string](l, "plan", "plan")
	report, err2 := redisLine[string](l, "report", "report")
	reap, err3 := redisLine[string](l, "reap", "reap")
	gaps, err4 := redisLine[string](l, "gaps", "gaps")
	work := func(line string) queue.Queue[agent.Attempt] {
		q, err := redisLine[agent.Attempt](l, "work-"+line, "work")
		if err != nil {
			panic(err) // a line's name was checked when the runner was configured
		}
		return q
	}
	return agent.Queues{Plan: plan, Report: report, Reap: reap, Gaps: gaps, Work: onePerLine(work), Buried: l.buried},
		errors.Join(err1, err2, err3, err4)
}

// buried is the lines of attempts in which something was given up.
func (l redisLines) buried(ctx context.Context) ([]string, error) {
	names, err := redisq.Buried(ctx, l.rdb)
	var work []string
	for _, name := range names {
		if line, ok := strings.CutPrefix(name, "work-"); ok {
			work = append(work, line)
		}
	}
	return work, err
}

func redisLine[T any](l redisLines, name, kind string) (queue.Queue[T], error) {
	q, err := redisq.New[T](l.rdb, redisq.Config{Name: name, Kind: kind, LeaseTime: l.lease, Metrics: l.metrics, Log: l.log})
	if err != nil {
		return nil, fmt.Errorf("line %s: %w", name, err)
	}
	return q, nil
}

// onePerLine makes a line's queue when it is first asked for, and the same one ever after.
func onePerLine(open func(line string) queue.Queue[agent.Attempt]) func(string) queue.Queue[agent.Attempt] {
	var mu sync.Mutex
	lines := map[string]queue.Queue[agent.Attempt]{}
	return func(line string) queue.Queue[agent.Attempt] {
		mu.Lock()
		defer mu.Unlock()
		if lines[line] == nil {
			lines[line] = open(line)
		}
		return lines[line]
	}
}

// openBucket opens a folder as the bucket for what is too large for Redis.
func openBucket(dir string) (*blob.Bucket, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return fileblob.OpenBucket(dir, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
}

// numbers are the types of package metrics, on one registry.
type numbers struct {
	registry *prometheus.Registry
	door     *metrics.Door
	queue    *metrics.Queue
	agent    *metrics.Agent
	spool    *metrics.Spool
}

func newNumbers(c *config.Config) numbers {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var forges []string
	for _, f := range c.Forges {
		forges = append(forges, f.Name)
	}
	return numbers{
		reg, metrics.NewDoor(reg, forges...), metrics.NewQueue(reg, "plan", "work", "report", "reap", "gaps"), metrics.NewAgent(reg), metrics.NewSpool(reg),
	}
}
