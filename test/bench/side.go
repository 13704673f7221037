package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/queue/redisq"
)

// slots is how many tasks a worker handles at once, as in asynq's BenchmarkEndToEndSimple.
const slots = 10

// leaseTime is the daemon's.
const leaseTime = 10 * time.Second

// data is what a task carries, as in asynq's benchmark.
type data struct {
	Data int `json:"data"`
}

// side is one of those who are measured, on one server.
type side interface {
	// push puts tasks first to last in line, without last.
	push(ctx context.Context, first, last int) error
	// work handles tasks in so many slots until ctx ends; each that handle returns from is done.
	work(ctx context.Context, worker string, slots int, handle func(ctx context.Context, task int)) error
}

// newSide makes a side that speaks to the server through c.
func newSide(name string, c *redis.Client) (side, error) {
	switch name {
	case "ours":
		q, err := redisq.New[data](c, redisq.Config{
			Name: "work", Kind: "work", LeaseTime: leaseTime, Metrics: metrics.NewQueue(prometheus.NewRegistry(), "work"),
		})
		return ours{q}, err
	case "asynq":
		return peer{c}, nil
	}
	return raw{c}, nil
}
