package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"

	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/runners/kube"
)

// track makes jobs that run on, each waited for, and prints the memory of this process in ten steps.
func (b *bench) track(ctx context.Context) error {
	running, end, err := b.startNode(ctx, nodeName, true)
	if err != nil {
		return err
	}
	defer end()
	_, err = b.in(ctx, fmt.Sprint("kubebench-track-", os.Getpid()), func(ctx context.Context, namespace string) (rate, error) {
		return rate{}, b.fill(ctx, namespace, running)
	})
	return err
}

func (b *bench) fill(ctx context.Context, namespace string, running *bufio.Reader) error {
	r, end, err := b.runner(ctx, namespace)
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithCancel(ctx)
	var waits sync.WaitGroup
	defer waits.Wait()
	defer cancel()
	said := make(chan struct{}, b.n)
	fmt.Printf("%6d jobs  RSS %s\n", 0, memory("VmRSS"))
	step := *b
	step.n = max(1, b.n/10)
	for n := 0; n < b.n; n += step.n {
		if err := step.each(func(i int) error {
			job := benchJob(n + i)
			id := job.ID
			uid, err := r.Start(ctx, job)
			if err != nil {
				return err
			}
			waits.Go(func() { b.await(ctx, r, id, uid, &heard{said: said, closed: !b.logs}) })
			return nil
		}); err != nil {
			return err
		}
		if err := b.settle(ctx, running, said); err != nil {
			return err
		}
		fmt.Printf("%6d jobs  RSS %s\n", n+step.n, memory("VmRSS"))
	}
	fmt.Printf("goroutines %d, RSS at most %s\n", runtime.NumGoroutine(), memory("VmHWM"))
	return b.live()
}

// live prints what of the memory is in use: the rest is what the garbage collector lets grow, see GOGC of package runtime.
func (b *bench) live() error {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Printf("in use for each job: heap %d bytes, stacks %d bytes\n", m.HeapAlloc/uint64(b.n), m.StackInuse/uint64(b.n))
	if b.profile == "" {
		return nil
	}
	file, err := os.Create(b.profile)
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(file), file.Close())
}

// await waits for a job, which is not to end before ctx does.
func (b *bench) await(ctx context.Context, r *kube.Runner, id, uid string, log runners.Log) {
	if _, err := r.Wait(ctx, id, uid, log); ctx.Err() == nil {
		b.log.ErrorContext(ctx, "a job has ended", "job", id, "err", err)
	}
}

// settle returns when the pods of one step run and, where logs are followed, each has said something.
func (b *bench) settle(ctx context.Context, running *bufio.Reader, said <-chan struct{}) error {
	for range max(1, b.n/10) {
		if _, err := running.ReadString('\n'); err != nil {
			return fmt.Errorf("the node ended: %w", err)
		}
		if !b.logs {
			continue
		}
		select {
		case <-said:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// memory is a line of /proc/self/status.
func memory(name string) string {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "not known"
	}
	_, rest, _ := strings.Cut(string(data), name+":")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// heard is a log that tells that something was written to it, once.
type heard struct {
	nowhere
	said   chan<- struct{}
	once   sync.Once
	closed bool // it takes no more: nothing is followed
}

// Resume implements runners.Log. A line without a time is the end of a log.
func (h *heard) Resume() (string, error) {
	if h.closed {
		return "closed", nil
	}
	return "", nil
}

// Write implements io.Writer.
func (h *heard) Write(p []byte) (int, error) {
	if strings.Contains(string(p), " task ") {
		h.once.Do(func() { h.said <- struct{}{} })
	}
	return len(p), nil
}
