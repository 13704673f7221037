package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// track makes jobs that run on, each waited for and its log followed, and prints the memory of this process in ten
// steps.
func (b *bench) track(ctx context.Context) error {
	end, err := b.startNode(ctx, nodeName, true)
	if err != nil {
		return err
	}
	defer end()
	_, err = b.in(ctx, "kubebench-track", func(ctx context.Context, namespace string) (rate, error) {
		return rate{}, b.fill(ctx, namespace)
	})
	return err
}

func (b *bench) fill(ctx context.Context, namespace string) error {
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
			uid, err := r.Start(ctx, job)
			if err != nil {
				return err
			}
			waits.Go(func() {
				res, err := r.Wait(ctx, job.ID, uid, &heard{said: said})
				if ctx.Err() == nil {
					fmt.Fprintf(os.Stderr, "job %s ended: %+v %v\n", job.ID, res, err)
				}
			})
			return nil
		}); err != nil {
			return err
		}
		for range step.n { // Each says a line: then all that is tracked is there.
			select {
			case <-said:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		fmt.Printf("%6d jobs  RSS %s\n", n+step.n, memory("VmRSS"))
	}
	if err := b.rest(ctx, namespace); err != nil {
		return err
	}
	fmt.Printf("at rest      RSS %s, at most %s\n", memory("VmRSS"), memory("VmHWM"))
	return nil
}

// rest waits a while, and checks that all is still there.
func (b *bench) rest(ctx context.Context, namespace string) error {
	select {
	case <-time.After(10 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	pods, err := b.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{FieldSelector: "status.phase=" + string(corev1.PodRunning), Limit: 1})
	if err != nil {
		return err
	}
	if pods.RemainingItemCount != nil {
		fmt.Printf("%6d pods run\n", *pods.RemainingItemCount+1)
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
	said chan<- struct{}
	once sync.Once
}

// Write implements io.Writer.
func (h *heard) Write(p []byte) (int, error) {
	if strings.Contains(string(p), " task ") {
		h.once.Do(func() { h.said <- struct{}{} })
	}
	return len(p), nil
}
