package store

import (
	"context"
	"time"

	"github.com/millrace-ci/millrace/triggers"
)

// Bounds of Refs. What is beyond them is planned as anything else, but has no second key, and is not watched: a push
// that no delivery tells is not found there.
const (
	MaxRefs       = 5_000  // of one repository, those included that are gone and not forgotten
	MaxWatched    = 10_000 // repositories
	MaxSuspicions = 1_000  // of one repository
	MaxRequests   = 20     // open ones of one branch
)

// SameWithin is how far apart two deliveries of one push may come where the forge does not say which hook sent them.
const SameWithin = time.Minute

// Refs keeps what was heard last of each branch and tag, and when each repository is to be looked at again. The planner
// notes what it plans, and asks by that whether it was told before; the agent's look for gaps compares what was heard
// with what is there. All methods are safe for concurrent use.
type Refs interface {
	// Note notes a push, a tag or a deletion, and returns which delivery told of the same before, if any did, and which
	// requests are open to merge the branch; those of a branch that is gone are forgotten. Told of the same: it equals the latest of its ref (same before and after), and came through another hook or,
	// where one of the two names none, within SameWithin; or what was found without a delivery and what a delivery tells
	// end at the same commit, also where the ref has moved on since; not where what is told begins at the ref's present
	// commit, for then it was forced back. The latest is the one that began where the one before it ended, else the one that was heard
	// last; who comes later than its time is a first, and does not replace what is noted. Whether what is told after a
	// ref was found comes late, or after one that is lost, only the next look can say: what it finds where the last of
	// these ended is told of by that one. For the last few deliveries of a
	// ref the answer is the same ever after, so that planning one again never makes it a duplicate of itself. The
	// repository is due at h.Look at the latest. What was found of one that was dropped since is not noted.
	Note(ctx context.Context, h Heard) (Noted, error)
	// Ask notes a request to merge a branch of the repository itself as it is now, or that it is no longer open.
	Ask(ctx context.Context, r Repo, branch string, q Request, open bool) error
	// Due returns at most limit repositories that are to be looked at by at, those first that are due for longest.
	Due(ctx context.Context, at time.Time, limit int) ([]Watch, error)
	// Sights returns what is noted of a repository, by ref.
	Sights(ctx context.Context, forge, repo string) (map[string]Sight, error)
	// Latest returns what was heard last of one ref; the zero Sight if nothing is noted of it.
	Latest(ctx context.Context, forge, repo, ref string) (Sight, error)
	// Looked ends a look: it keeps what w says of what was seen, notes the refs of found that nothing is noted of, forgets
	// those of gone that a deletion was the last of, and makes the repository due at next, or at what Note said meanwhile
	// if that is sooner.
	Looked(ctx context.Context, w Watch, l Look) error
	// Hurry makes every repository due at the given time at the latest, and those of also known if they are not.
	Hurry(ctx context.Context, at time.Time, also ...Repo) error
	// Drop forgets a repository and all of its refs.
	Drop(ctx context.Context, r Repo) error
}

// Sight is what was heard of a ref at one time.
type Sight struct {
	Before    string    `json:"before"`   // commit, "" for a new ref and where the forge does not say
	After     string    `json:"after"`    // commit, "" for one that is gone
	Hook      string    `json:"hook"`     // that told it, "" where the forge does not say
	Delivery  string    `json:"delivery"` // that told it; "": nobody did, a look found the ref when its repository was new to us
	At        time.Time `json:"at"`       // when it was heard
	Recovered bool      `json:"recovered,omitempty"`
}

// Heard is a sight of one ref of a repository.
type Heard struct {
	Repo
	Ref string // refs/heads/main
	Sight
	Look time.Time // when the repository is to be looked at
}

// Noted is what Note answers.
type Noted struct {
	First string    // delivery that told of the same before, "" for none
	Open  []Request // to merge the branch, in the order in which they were heard of last
}

// Request is an open request.
type Request struct {
	Number int    `json:"number"`
	Target string `json:"target"` // branch
	Commit string `json:"commit"` // that it was heard of last
	Action string `json:"action"` // that brought it
}

// Repo is a repository at a forge. Those two names say which it is; the rest is what was heard of it last.
type Repo struct {
	Forge string
	triggers.Repository
}

// Watch is a repository that is looked at.
type Watch struct {
	Repo
	Due        time.Time            // see Refs.Due
	Seen       time.Time            // when its refs were seen last; zero: never
	Failing    time.Time            // since when they cannot be; zero: they can
	Asked      time.Time            // when its forge was asked last to deliver again; zero: never
	Arrived    time.Time            // all that its forge sent before has arrived, or is not to be had
	Crowded    bool                 // not all of them could be noted
	Suspicions map[string]Suspicion // by ref
}

// Suspicion is that a push was missed: a ref was not as it was heard of last.
type Suspicion struct {
	After    string    `json:"after"`              // what was heard of it last
	Delivery string    `json:"delivery,omitempty"` // that told it
	Since    time.Time `json:"since"`
}

// Look is what a look at a repository led to.
type Look struct {
	Found map[string]string // commits by ref
	Gone  []string          // refs
	Next  time.Time
}
