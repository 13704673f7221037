package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// peer is asynq, configured as in its BenchmarkEndToEndSimple.
type peer struct{ c *redis.Client }

func (p peer) push(ctx context.Context, first, last int) error {
	client := asynq.NewClientFromRedisClient(p.c)
	for i := first; i < last; i++ {
		task := asynq.NewTask("task"+strconv.Itoa(i), []byte(`{"data":`+strconv.Itoa(i)+`}`))
		if _, err := client.EnqueueContext(ctx, task); err != nil {
			return err
		}
	}
	return nil
}

func (p peer) work(ctx context.Context, _ string, slots int, handle func(context.Context, int)) error {
	srv := asynq.NewServerFromRedisClient(p.c, asynq.Config{
		Concurrency: slots, LogLevel: asynq.FatalLevel, ShutdownTimeout: 100 * time.Millisecond,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Second },
	})
	err := srv.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		i, err := strconv.Atoi(t.Type()[len("task"):])
		if err == nil {
			handle(ctx, i)
		}
		return err
	}))
	if err != nil {
		return err
	}
	<-ctx.Done()
	srv.Shutdown()
	return nil
}

// raw is what Redis Streams can do: read in batches, acknowledge them in a pipeline, keep no retry state.
type raw struct{ c *redis.Client }

const (
	rawStream = "raw"
	rawGroup  = "workers"
)

func (r raw) push(ctx context.Context, first, last int) error {
	r.c.XGroupCreateMkStream(ctx, rawStream, rawGroup, "0") // it may be there
	for first < last {
		pipe := r.c.Pipeline()
		for end := min(first+1000, last); first < end; first++ {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: rawStream, Values: []any{"data", first}})
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r raw) work(ctx context.Context, worker string, slots int, handle func(context.Context, int)) error {
	for ctx.Err() == nil {
		got, err := r.c.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: rawGroup, Consumer: worker, Streams: []string{rawStream, ">"}, Count: int64(slots), Block: 100 * time.Millisecond,
		}).Result()
		if errors.Is(err, redis.Nil) || ctx.Err() != nil {
			continue
		}
		if err != nil {
			return err
		}
		pipe := r.c.Pipeline()
		for _, m := range got[0].Messages {
			text, _ := m.Values["data"].(string)
			i, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			handle(ctx, i)
			pipe.XAck(ctx, rawStream, rawGroup, m.ID)
		}
		if _, err := pipe.Exec(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	return nil
}
