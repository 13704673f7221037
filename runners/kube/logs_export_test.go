package kube

import (
	"context"
	"io"
	"time"

	"github.com/millrace-ci/millrace/runners"
	corev1 "k8s.io/api/core/v1"
)

// What tests of the log call.
const (
	MaxLine  = maxLine
	Lagging  = lagging
	Patience = patience
)

// SinceOf is what it is called.
var SinceOf = sinceOf

// Read reads a stream in pieces, from behind a line's time on, and returns the lines that it becomes and the time of the
// last one.
func Read(container string, from time.Time, whole bool, pieces ...[]byte) (out []byte, last time.Time) {
	l := &lines{container: container, from: from}
	for _, p := range pieces {
		_, _ = l.Write(p)
	}
	l.end(whole)
	return l.out, later(l.at, from)
}

// Follower is a follower with a cluster of the test's own.
type Follower struct{ f *follower }

// Open opens a stream as the API does.
type Open func(ctx context.Context, pod string, opts *corev1.PodLogOptions) (io.ReadCloser, error)

// NewFollower makes one.
func NewFollower(open Open, log runners.Log) (*Follower, error) {
	f, err := newFollower(nil, nil, log, time.Now)
	if err == nil {
		f.open = open
	}
	return &Follower{f}, err
}

// Bound makes it hand on less of a log.
func (f *Follower) Bound(size int) { f.f.max = size }

// Run runs it.
func (f *Follower) Run(ctx context.Context) error { return f.f.run(ctx) }

// See tells it what is known of the job.
func (f *Follower) See(s Sight, v Verdict) {
	f.f.see(s.sight(), verdict{result: v.Result, waiting: v.Waiting})
}
