package kube

import (
	"context"
	"io"
	"time"

	"github.com/millrace-ci/millrace/runners"
	batchv1 "k8s.io/api/batch/v1"
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
	l := &lines{container: container, from: from, words: oneLine}
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

// NewFollower makes one of a job without secrets.
func NewFollower(open Open, log runners.Log) (*Follower, error) {
	return NewFollowerOf(&batchv1.Job{}, nil, open, log)
}

// GetSecret gets a Secret as the API does, and nothing of one that is not there.
type GetSecret func(ctx context.Context, name string) (*corev1.Secret, error)

// NewFollowerOf makes one of a job with secrets.
func NewFollowerOf(job *batchv1.Job, get GetSecret, open Open, log runners.Log) (*Follower, error) {
	f, err := newFollower(opener(open), log, newHider(job, get))
	return &Follower{f}, err
}

// Words is what it makes of the cluster's words.
func (f *Follower) Words(text string) string { return f.f.hider.words(text) }

// Bound changes how large the log may be.
func (f *Follower) Bound(size int) { f.f.max = size }

// Run runs it.
func (f *Follower) Run(ctx context.Context) error { return f.f.run(ctx) }

// See tells it what is known of the job.
func (f *Follower) See(s Sight, v Verdict) {
	f.f.see(s.sight(), verdict{result: v.Result, waiting: v.Waiting})
}

// Turns calls a function in turns.
type Turns struct{ t turns }

// NewTurns makes turns of do.
func NewTurns(do func()) *Turns { return &Turns{turns{do: do}} }

// Wake and End are what they are called.
func (t *Turns) Wake() { t.t.wake() }
func (t *Turns) End()  { t.t.end() }

// Apart is what it is called.
var Apart = apart
