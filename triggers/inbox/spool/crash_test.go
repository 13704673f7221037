package spool_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/metrics"
	"github.com/millrace-ci/millrace/triggers/inbox"
	"github.com/millrace-ci/millrace/triggers/inbox/inboxtest"
	"github.com/millrace-ci/millrace/triggers/inbox/redisinbox"
	"github.com/millrace-ci/millrace/triggers/inbox/spool"
)

// child is the process that is killed. It writes what it has done to its standard output, a line each.
func child(role string) {
	dir, arg := os.Getenv("SPOOL_TEST_DIR"), os.Getenv("SPOOL_TEST_ARG")
	var err error
	switch role {
	case "spool":
		err = childSpools(dir, arg, nil)
	case "before", "after":
		err = childSpools(dir, arg, dieAt(role))
	case "drain":
		err = childDrains(dir, arg)
	case "limit":
		err = childIsOutOfSpace(dir)
	}
	fmt.Println("error", err)
	os.Exit(1)
}

func childConfig(dir string) spool.Config {
	return spool.Config{Dir: dir, MaxBytes: 8 << 20, Metrics: metrics.NewSpool(prometheus.NewRegistry()), Log: quiet}
}

// childSpools keeps deliveries, from a number on, and tells the number of each that it was told is kept.
func childSpools(dir, from string, sync func(*os.File) error) error {
	next, err := strconv.ParseInt(from, 10, 64)
	if err != nil {
		return err
	}
	s, err := spool.New(childConfig(dir), newMoody(away))
	if err != nil {
		return err
	}
	if sync != nil {
		s.SetSync(sync)
	}
	var number atomic.Int64
	number.Store(next - 1)
	failed := make(chan error)
	for range 8 {
		go func() {
			for {
				i := int(number.Add(1))
				if _, err := s.Keep(context.Background(), delivery(i)); err != nil {
					failed <- err
				}
				fmt.Println("kept", i)
			}
		}()
	}
	return <-failed
}

// dieAt is an fsync before or after which the process ends, the tenth time.
func dieAt(when string) func(*os.File) error {
	n := 0
	return func(f *os.File) error {
		n++
		if n == 10 && when == "before" {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		err := f.Sync()
		if n == 10 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return err
	}
}

// childDrains hands on to the Redis at url, and tells how many it put in line.
func childDrains(dir, url string) error {
	opt, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	behind, err := redisinbox.New(redisinbox.Config{Rdb: redis.NewClient(opt)})
	if err != nil {
		return err
	}
	s, err := spool.New(childConfig(dir), behind)
	if err != nil {
		return err
	}
	return s.Run(context.Background(), func(_ context.Context, ids ...string) error {
		fmt.Println("drained", len(ids))
		return nil
	})
}

// childIsOutOfSpace keeps large deliveries until a file must not grow any more, in the middle of a record; then space
// is made, and it goes on.
func childIsOutOfSpace(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	s, err := spool.New(childConfig(dir), newMoody(away))
	if err != nil {
		return err
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	for i := range 60 {
		limit := old
		if i%20 < 15 {
			limit.Cur = 10_000
		}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
		d := delivery(i)
		d.Body = make([]byte, 4000)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(d.Body)
		if _, err := s.Keep(context.Background(), d); err != nil {
			fmt.Println("refused", i, err)
			continue
		}
		fmt.Println("kept", i)
	}
	fmt.Println("end")
	select {}
}

// start starts a child, and returns its lines, which end when it does, and how to kill it.
func start(t *testing.T, role, dir, arg string) (lines *bufio.Scanner, kill func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "SPOOL_TEST_CHILD="+role, "SPOOL_TEST_DIR="+dir, "SPOOL_TEST_ARG="+arg)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	return bufio.NewScanner(out), kill
}

// kept reads the numbers that a child says it kept, until it ends or enough of them came.
func kept(t *testing.T, lines *bufio.Scanner, enough int) []string {
	t.Helper()
	var got []string
	for len(got) < enough && lines.Scan() {
		word, number, _ := strings.Cut(lines.Text(), " ")
		i, err := strconv.Atoi(number)
		if word != "kept" || err != nil {
			t.Fatalf("the child says %q", lines.Text())
		}
		got = append(got, delivery(i).ID)
	}
	return got
}

// TestKilledWhileItSpools kills a process that keeps deliveries, and starts it again in the same folder: what it was
// told is kept is there in the end.
func TestKilledWhileItSpools(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	var promised []string
	for round, role := range []string{"spool", "before", "spool", "after", "spool", "spool"} {
		lines, kill := start(t, role, dir, strconv.Itoa(round*100_000))
		enough := 1_000_000 // it ends by itself
		if role == "spool" {
			enough = 1 + rand.IntN(300)
		}
		promised = append(promised, kept(t, lines, enough)...)
		kill()
	}
	f := openWith(t, spool.Config{Dir: dir, MaxBytes: 8 << 20}, newMoody(nil))
	f.flush()
	f.hasAll(promised)
	if got := f.number("millrace_spooled_total", "damaged"); got != 0 {
		t.Errorf("%v are damaged", got)
	}
}

// hasAll checks that the inbox behind has the deliveries of these ids, and perhaps more.
func (f *fixture) hasAll(promised []string) {
	f.t.Helper()
	got, err := f.behind.Unplanned(f.t.Context(), 1_000_000)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Logf("%d were promised, %d are there", len(promised), len(got))
	slices.Sort(got)
	for _, id := range promised {
		if _, ok := slices.BinarySearch(got, id); !ok {
			f.t.Errorf("%s was promised and is lost", id)
		}
	}
}

// TestKilledWhileItDrains kills a process that hands on to a real Redis, again and again.
func TestKilledWhileItDrains(t *testing.T) {
	t.Parallel()
	const n = 3000
	server := redistest.Start(t)
	dir := newDir(t)
	cfg := spool.Config{Dir: dir, MaxBytes: 8 << 20}
	f := openWith(t, cfg, newMoody(away))
	f.keepAtOnce(0, n)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		lines, kill := start(t, "drain", dir, server.URL())
		for more := 1 + rand.IntN(10); more > 0 && lines.Scan(); more-- {
			if !strings.HasPrefix(lines.Text(), "drained") {
				t.Fatalf("the child says %q", lines.Text())
			}
		}
		kill()
	}
	f = openWith(t, cfg, redisBehind(t, server.Client()))
	f.flush()
	f.behindHas(ids(0, n))
}

// keepAtOnce keeps deliveries concurrently.
func (f *fixture) keepAtOnce(from, to int) {
	var all sync.WaitGroup
	for i := from; i < to; i++ {
		all.Go(func() {
			if _, err := f.Keep(f.t.Context(), delivery(i)); err != nil {
				f.t.Errorf("keep %d: %v", i, err)
			}
		})
	}
	all.Wait()
}

func redisBehind(t *testing.T, rdb *redis.Client) inbox.Inbox {
	t.Helper()
	in, err := redisinbox.New(redisinbox.Config{Rdb: rdb})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestOutOfSpace: a write that the system cuts short is rolled back, and answered with an error; what is kept when there
// is space again is whole.
func TestOutOfSpace(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	lines, kill := start(t, "limit", dir, "")
	var promised []string
	refused := 0
	for lines.Scan() && lines.Text() != "end" {
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case "kept":
			i, _ := strconv.Atoi(rest)
			promised = append(promised, delivery(i).ID)
		case "refused":
			refused++
			if !strings.Contains(rest, "file too large") {
				t.Errorf("refused for another reason: %s", rest)
			}
		default:
			t.Fatalf("the child says %q", lines.Text())
		}
	}
	kill()
	if refused == 0 || len(promised) < 20 {
		t.Fatalf("%d were refused and %d kept: this tests nothing", refused, len(promised))
	}
	if got := len(files(t, dir)); got > len(promised) {
		t.Errorf("%d files are left of %d deliveries", got, len(promised))
	}
	f := openWith(t, spool.Config{Dir: dir, MaxBytes: 8 << 20}, newMoody(nil))
	f.flush()
	f.behindHas(promised) // and none that was refused
	for _, outcome := range []string{"damaged", "torn"} {
		if got := f.number("millrace_spooled_total", outcome); got != 0 {
			t.Errorf("%v are %s", got, outcome)
		}
	}
}

func TestLawsInRedis(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	inboxtest.Run(t, func(t *testing.T) inbox.Inbox {
		if err := rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return openWith(t, spool.Config{Dir: newDir(t), MaxBytes: 1 << 20, Patience: time.Minute}, redisBehind(t, rdb))
	})
}

// TestRedisIsStopped: a Redis that is there and does not answer; then it goes on, and executes what nobody waits for.
func TestRedisIsStopped(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	f := open(t, newDir(t), redisBehind(t, rdb))
	f.keep(0, 3)
	pid, err := strconv.Atoi(rdb.InfoMap(t.Context(), "server").Item("Server", "process_id"))
	if err != nil {
		t.Fatal(err)
	}
	signalTo := func(s syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
	}
	signalTo(syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	stop := f.run()
	began := time.Now()
	f.keep(3, 4)
	t.Logf("the first is answered after %v", time.Since(began))
	began = time.Now()
	f.keepAtOnce(4, 204)
	t.Logf("200 more are answered after %v", time.Since(began))
	if took := time.Since(began); took > 5*time.Second { // and not 200 times our patience
		t.Errorf("200 deliveries took %v", took)
	}
	began = time.Now()
	if r, err := f.Get(t.Context(), delivery(100).ID); err != nil || r.ID != delivery(100).ID {
		t.Errorf("get a spooled one: %+v, %v", r, err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("to get it took %v: Redis was asked", took)
	}
	signalTo(syscall.SIGCONT)
	began = time.Now()
	f.await(201)
	t.Logf("all are drained after %v", time.Since(began))
	stop()
	f.behindHas(ids(0, 204))
}

// TestRedisIsKilled while deliveries come, and is started again.
func TestRedisIsKilled(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	f := open(t, newDir(t), redisBehind(t, server.Client()))
	stop := f.run()
	f.keepAtOnce(0, 100)
	var all sync.WaitGroup
	all.Go(func() { f.keepAtOnce(100, 300) })
	server.Kill()
	all.Wait()
	f.keepAtOnce(300, 400)
	server.Restart()
	f.keepAtOnce(400, 500)
	f.await(100) // at least those from 300 on were spooled
	stop()
	f.flush()
	f.behindHas(ids(0, 500))
}
