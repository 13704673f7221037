package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// idled is what one round showed of one process: how long its start took, and what it costs while nothing happens.
type idled struct{ ready, cpu, rss float64 }

// start measures the daemon from its start to its readiness, and n seconds of doing nothing, with a redis-server of its own
// beside it: P12.
func start(ctx context.Context, o options) error {
	binary, err := buildDaemon(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(binary))
	results := map[string][]idled{}
	for round := range o.rounds {
		ours, server, err := startOnce(ctx, binary, time.Duration(o.n)*time.Second)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "round %d ours %+v redis-server %+v, load %s\n", round+1, ours, server, load())
		results["ours"], results["redis-server"] = append(results["ours"], ours), append(results["redis-server"], server)
	}
	version, err := exec.CommandContext(ctx, "redis-server", "--version").Output()
	if err != nil {
		return err
	}
	aboutHere(fmt.Sprintf("Start, and %d seconds of doing nothing", o.n), string(version))
	o.sides = []string{"ours", "redis-server"}
	printTable(o, []column[idled]{
		{"start to ready, ms", "%.0f", func(i idled) float64 { return i.ready }, false},
		{"CPU, % of a core", "%.2f", func(i idled) float64 { return i.cpu }, false},
		{"RSS, MiB", "%.1f", func(i idled) float64 { return i.rss }, false},
	}, results)
	return nil
}

// startOnce starts a daemon that has no data yet.
func startOnce(ctx context.Context, binary string, idle time.Duration) (ours, server idled, err error) {
	d, err := startDaemon(ctx, binary, "", nowhere)
	if err != nil {
		return ours, server, err
	}
	defer d.end()
	redis, err := d.own()
	if err != nil {
		return ours, server, err
	}
	<-time.After(2 * time.Second) // The start is over then.
	pids, was, all := []int{d.cmd.Process.Pid, redis}, [2]usage{}, [2]idled{}
	for i, pid := range pids {
		was[i], err = usageOf(pid)
		if err != nil {
			return ours, server, err
		}
	}
	<-time.After(idle)
	var errs [2]error
	for i, pid := range pids {
		var is usage
		is, errs[i] = usageOf(pid)
		all[i] = idled{ready: math.NaN(), cpu: 100 * (is.cpu - was[i].cpu).Seconds() / idle.Seconds(), rss: is.rss}
	}
	all[0].ready = float64(d.ready.Microseconds()) / 1000
	return all[0], all[1], errors.Join(errs[:]...)
}
