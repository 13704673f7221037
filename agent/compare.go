package agent

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace-ci/millrace/agent/store"
)

const (
	// atOnce is how many missed pushes of a repository one look recovers: somebody may have pushed a mirror.
	atOnce = 100
	// forgetAfter is how long it is known of a ref that it is gone, so that it is known for each delivery of its end.
	forgetAfter = 24 * time.Hour
)

// gap is a ref that is not as it was heard of last.
type gap struct {
	ref  string
	last store.Sight // zero: nothing was heard of it
	now  string      // commit, "" if it is gone
}

// compare tells which refs are not as they were heard of last. The refs of a repository that is seen for the first time
// are only noted: what was pushed before we knew of it was never ours. So are those of one that has more than can be
// noted, until all are.
func (l *look) compare(heads map[string]string, sights map[string]store.Sight) (store.Look, []gap) {
	known := len(sights)
	for ref := range heads {
		if _, heard := sights[ref]; !heard {
			known++
		}
	}
	crowded := known > store.MaxRefs
	noteOnly := l.watch.Seen.IsZero() || l.watch.Crowded || crowded
	l.watch.Crowded = crowded
	found := store.Look{Found: map[string]string{}}
	var gaps []gap
	for _, ref := range slices.Sorted(maps.Keys(heads)) { // branches before tags
		last, heard := sights[ref]
		switch {
		case heard && last.After != heads[ref], !heard && !noteOnly:
			gaps = append(gaps, gap{ref, last, heads[ref]})
		case !heard && len(found.Found)+len(sights) < store.MaxRefs:
			found.Found[ref] = heads[ref]
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(sights)) {
		last := sights[ref]
		switch there := heads[ref] != ""; {
		case there:
		case last.After != "":
			gaps = append(gaps, gap{ref, last, ""})
		case l.at.Sub(last.At) > forgetAfter:
			found.Gone = append(found.Gone, ref)
		}
	}
	return found, gaps
}

// suspect returns the gaps that are sure: those that were there a minute ago too, with nothing heard of the ref since. A
// forge that is polled tells nothing, so there all are. The others are suspicions, and looked at again soon.
func (l *look) suspect(gaps []gap) (sure []gap) {
	before := l.watch.Suspicions
	l.watch.Suspicions = map[string]store.Suspicion{}
	for _, g := range gaps {
		s, suspected := before[g.ref]
		if !suspected || s.Delivery != g.last.Delivery || s.After != g.last.After {
			s = store.Suspicion{After: g.last.After, Delivery: g.last.Delivery, Since: l.at}
		}
		if (l.forge.Poll > 0 || l.at.Sub(s.Since) >= lookSoon) && len(sure) < atOnce {
			sure = append(sure, g)
			continue
		}
		l.soon = true
		if len(l.watch.Suspicions) < store.MaxSuspicions {
			l.watch.Suspicions[g.ref] = s
		}
	}
	return sure
}
