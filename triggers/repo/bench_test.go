package repo_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/repo"
)

// BenchmarkDefinitions reads one file at a commit over smart HTTP on loopback, and has git fetch the same, in turn:
// compare ours with git at each size. peak-MiB is how far this process's memory grew at most.
func BenchmarkDefinitions(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		for server, f := range map[string]*forge{
			"filtered":   open(b),
			"unfiltered": newForge(b, "uploadpack.allowAnySHA1InWant=true"),
		} {
			commit := f.commit("main", append(many(n), file{path: ".millrace.yaml", data: "name: a\n"})...)
			f.run("", "-C", f.dir, "gc", "-q")
			name := fmt.Sprintf("files=%d/%s", n, server)
			b.Run(name+"/ours", func(b *testing.B) { benchOurs(b, f, commit) })
			b.Run(name+"/git", func(b *testing.B) { benchGit(b, f, commit, server == "filtered") })
		}
	}
}

func benchOurs(b *testing.B, f *forge, commit string) {
	peak := watchMemory(b)
	for b.Loop() {
		files, _, err := repo.New(repo.Config{}).Definitions(b.Context(), f.access(), triggers.At{Commit: commit})
		if err != nil || len(files) != 1 {
			b.Fatal(files, err)
		}
	}
	b.ReportMetric(peak(), "peak-MiB")
}

// benchGit is what a shell script would do: fetch into an empty repository, and show the file, which fetches it.
func benchGit(b *testing.B, f *forge, commit string, filtered bool) {
	root := b.TempDir()
	i := 0
	for b.Loop() {
		dir := filepath.Join(root, fmt.Sprint(i))
		i++
		f.run("", "init", "-q", "--bare", dir)
		f.run("", "-C", dir, "remote", "add", "origin", f.url)
		args := []string{"-C", dir, "fetch", "-q", "--depth=1"}
		if filtered {
			args = append(args, "--filter=blob:none")
		}
		f.run("", append(args, "origin", commit)...)
		f.run("", "-C", dir, "cat-file", "blob", commit+":.millrace.yaml")
		b.StopTimer()
		os.RemoveAll(dir)
		b.StartTimer()
	}
}

// watchMemory samples the memory of Go's heap until the returned function is called, which tells by how many MiB it grew
// at most.
func watchMemory(b *testing.B) func() float64 {
	b.Helper()
	heap := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	runtime.GC()
	base := heap()
	most := base
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				most = max(most, heap())
			}
		}
	})
	return func() float64 {
		close(stop)
		wg.Wait()
		return float64(most-base) / (1 << 20)
	}
}
