package run

import (
	"fmt"
	"strings"
)

// Sum says how all pipelines of a commit are together, as a state in the words of package report and in a line for
// people. runs are those of the commit, the newest first: of several runs of a pipeline the newest counts. The sum is
// pending until all are over; then it has failed if one has, else is canceled if one was, else succeeded.
func Sum(runs []Run) (state, text string) {
	seen, by, total := map[string]bool{}, map[string][]string{}, 0
	for _, r := range runs {
		name := r.Plan.Pipeline + r.Plan.Context
		if seen[name] {
			continue
		}
		seen[name], total = true, total+1
		share := r.share()
		if share == tellBroken {
			share = string(Failed)
		}
		by[share] = append(by[share], name)
	}
	live, failed, canceled := by[tellPending], by[string(Failed)], by[string(Canceled)]
	switch {
	case len(live) > 0:
		return tellPending, fmt.Sprintf("%d of %d ended, waiting for %s", total-len(live), total, some(live))
	case len(failed) > 0:
		return string(Failed), "failed: " + some(failed)
	case len(canceled) > 0:
		return string(Canceled), "canceled: " + some(canceled)
	case total > 0 && len(by[tellNotAffected]) == total:
		return tellNotAffected, "no pipeline was affected"
	}
	return string(Succeeded), "succeeded: " + some(by[string(Succeeded)])
}

// some names as many as people read.
func some(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}
