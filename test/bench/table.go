package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// column is one number of a result.
type column[R any] struct {
	name   string
	format string
	of     func(R) float64
	ratio  bool // the base's to each other side's stands beside it
}

// alternate measures the sides in turns, so that whatever else the machine does hits all of them.
func alternate[R any](o options, measure func(side string) (R, error)) (map[string][]R, error) {
	results := map[string][]R{}
	for round := range o.rounds {
		for i := range o.sides {
			name := o.sides[(round+i)%len(o.sides)]
			r, err := measure(name)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", name, round+1, err)
			}
			fmt.Fprintf(os.Stderr, "round %d %s %+v, load %s\n", round+1, name, r, load())
			results[name] = append(results[name], r)
		}
	}
	return results, nil
}

// printTable writes a row a side: each number's median, and its least and most.
func printTable[R any](o options, columns []column[R], results map[string][]R) {
	head, line := "| |", "|---|"
	for _, c := range columns {
		head, line = head+" "+c.name+" |", line+"---:|"
		if c.ratio {
			head, line = head+" "+o.base+" to it |", line+"---:|"
		}
	}
	fmt.Printf("%s\n%s\n", head, line)
	for _, name := range o.sides {
		fmt.Printf("| %s |", name)
		for _, c := range columns {
			mid, least, most := spread(results[name], c.of)
			fmt.Printf(" "+c.format+" ("+c.format+"-"+c.format+") |", mid, least, most)
			if c.ratio {
				fmt.Print(ratio(results[o.base], results[name], c.of))
			}
		}
		fmt.Println()
	}
	fmt.Println()
}

// ratio is the median of the base's number over theirs, round by round.
func ratio[R any](base, theirs []R, of func(R) float64) string {
	var all []float64
	for i := range min(len(base), len(theirs)) {
		all = append(all, of(base[i])/of(theirs[i]))
	}
	if len(all) == 0 {
		return " |"
	}
	mid, least, most := spread(all, func(f float64) float64 { return f })
	return fmt.Sprintf(" %.3g (%.3g-%.3g) |", mid, least, most)
}

func spread[R any](results []R, of func(R) float64) (mid, least, most float64) {
	var all []float64
	for _, r := range results {
		all = append(all, of(r))
	}
	if len(all) == 0 {
		return 0, 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[0], all[len(all)-1]
}

// about says what was measured on a redis-server, where and with which versions.
func about(ctx context.Context, s *server, title string) error {
	info, err := s.admin.InfoMap(ctx, "server").Result()
	if err != nil {
		return err
	}
	aboutHere(title, "redis-server "+info["Server"]["redis_version"])
	return nil
}

// peers are the modules whose versions matter.
var peers = []string{"github.com/hibiken/asynq", "github.com/redis/go-redis/v9", "github.com/go-git/go-git/v5"}

// aboutHere says what was measured beside another program, where and with which versions.
func aboutHere(title, program string) {
	versions := []string{strings.TrimSpace(program), runtime.Version()}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, m := range build.Deps {
			if slices.Contains(peers, m.Path) {
				versions = append(versions, m.Path+" "+m.Version)
			}
		}
	}
	fmt.Printf("### %s\n\n%s; %d cores, load %s. Median (least-most) of the rounds.\n\n", title, strings.Join(versions, ", "), runtime.NumCPU(), load())
}

// load is the machine's, of the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// quantile is the least number that q of all are not above.
func quantile(all []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
