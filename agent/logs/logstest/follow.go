package logstest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millrace-ci/millrace/agent/logs"
)

// waiting starts a Read that waits, and returns what it read.
func (b book) waiting(offset int, wait time.Duration) <-chan logs.Chunk {
	read := make(chan logs.Chunk, 1)
	go func() {
		c, err := b.s.Read(b.t.Context(), b.key, int64(offset), wait)
		if err != nil {
			b.t.Errorf("read at %d: %v", offset, err)
		}
		read <- c
	}()
	return read
}

// got is what a Read that waited read.
func (b book) got(read <-chan logs.Chunk) logs.Chunk {
	b.t.Helper()
	select {
	case c := <-read:
		return c
	case <-time.After(limit):
		b.t.Fatal("the reader is still waiting")
	}
	return logs.Chunk{}
}

// wakes follows a log while it is written: each line must be read long before its reader would look again by itself.
func wakes(b book) {
	at := 0
	for _, line := range []string{"first\n", "second\n", "third\n"} {
		read := b.waiting(at, 10*limit)
		b.append(at, line)
		if c := b.got(read); string(c.Data) != line || c.Ended {
			b.t.Errorf("got %q, ended %v, want %q", c.Data, c.Ended, line)
		}
		at += len(line)
	}
}

func wakesAtEnd(b book) {
	b.append(0, "all\n")
	read := b.waiting(4, 10*limit)
	beyond := b.waiting(1000, 10*limit)
	b.end()
	for _, r := range []<-chan logs.Chunk{read, beyond} {
		if c := b.got(r); len(c.Data) > 0 || !c.Ended {
			b.t.Errorf("got %q, ended %v, want the end", c.Data, c.Ended)
		}
	}
}

func waitsBeyond(b book) {
	b.append(0, "0123")
	read := b.waiting(6, 10*limit)
	b.append(4, "4")
	b.append(5, "56789")
	if c := b.got(read); string(c.Data) != "6789" {
		b.t.Errorf("got %q, want %q", c.Data, "6789")
	}
}

func waitEnds(b book) {
	const wait = 250 * time.Millisecond
	b.append(0, "quiet")
	began := time.Now()
	c := b.got(b.waiting(5, wait))
	if took := time.Since(began); len(c.Data) > 0 || c.Ended || took < wait {
		b.t.Errorf("got %q, ended %v after %v, want nothing after %v", c.Data, c.Ended, took, wait)
	}
}

func waitEndsWithContext(b book) {
	ctx, cancel := context.WithCancel(b.t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	if _, err := b.s.Read(ctx, b.key, 0, 10*limit); !errors.Is(err, context.Canceled) {
		b.t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if took := time.Since(began); took > limit {
		b.t.Errorf("it took %v", took)
	}
}

func manyWait(b book) {
	const readers = 40
	var reads []<-chan logs.Chunk
	for range readers {
		reads = append(reads, b.waiting(0, 10*limit))
	}
	b.append(0, "for all")
	var all sync.WaitGroup
	for _, r := range reads {
		all.Go(func() {
			if c := <-r; string(c.Data) != "for all" {
				b.t.Errorf("got %q, want %q", c.Data, "for all")
			}
		})
	}
	all.Wait()
}
