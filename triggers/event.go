package triggers

import "time"

// Kind is what happened.
type Kind string

// The kinds of event that exist so far. A push is of a branch; a branch or tag that is gone is a deletion.
const (
	Push        Kind = "push"
	Tag         Kind = "tag"
	Deletion    Kind = "deletion"
	PullRequest Kind = "pull_request"
)

// Event is one thing that happened in a repository, in the same words whichever forge told us. It is immutable: nobody
// changes one after Parse, and its slices are shared.
type Event struct {
	ID       string     `json:"id"`       // the delivery's, or an id of its own for a replay
	Delivery string     `json:"delivery"` // where it came from
	Kind     Kind       `json:"kind"`
	Forge    string     `json:"forge"` // name of the configured forge
	Repo     Repository `json:"repo"`

	Ref    string `json:"ref"`              // refs/heads/main, refs/tags/v1, refs/pull/7/head
	Branch string `json:"branch,omitempty"` // of a push or a branch's deletion; of a request its source
	Tag    string `json:"tag,omitempty"`
	Before string `json:"before,omitempty"` // commit before a push, "" for a new ref
	After  string `json:"after,omitempty"`  // commit that is built, "" for a deletion; of a request its head
	Forced bool   `json:"forced,omitempty"` // history was rewritten, where the forge says so

	Message string    `json:"message"`          // of the head commit; of a request its title
	Author  Person    `json:"author"`           // of the head commit; of a request who opened it
	Sender  string    `json:"sender"`           // account that caused the event
	Files   *[]string `json:"files,omitempty"`  // changed paths where the forge lists all of them; nil: unknown
	Labels  []string  `json:"labels,omitempty"` // of a request
	URL     string    `json:"url,omitempty"`    // page about it at the forge
	Time    time.Time `json:"time"`             // when it happened as the forge tells, else when it was heard

	Request *Request `json:"request,omitempty"` // for PullRequest only

	Recovered bool `json:"recovered,omitempty"` // no delivery told of it: a look at the repository's refs found it
}

// Request is the part of an event that only pull (merge) requests have.
type Request struct {
	Number       int    `json:"number"`
	Action       string `json:"action"` // opened, synchronize, reopened, closed, labeled, ready_for_review, ...
	Status       string `json:"status"` // open, closed, merged
	SourceBranch string `json:"source_branch"`
	TargetBranch string `json:"target_branch"`
	Fork         bool   `json:"fork"` // its head is in another repository: not trusted
	Draft        bool   `json:"draft,omitempty"`
}

// Person is somebody as a commit names them. Both may be empty, or "[REDACTED]" on GitLab.
type Person struct {
	Name  string `json:"name"`
	Email string `json:"email,omitempty"`
}

// Repository is where an event happened. Its addresses are the payload's words: nothing is fetched from them, a forge
// makes the address to clone from out of its own configured URL and Name.
type Repository struct {
	ID            string `json:"id"`   // the forge's
	Name          string `json:"name"` // owner/name, checked to be a plain path
	HTTPURL       string `json:"http_url,omitempty"`
	SSHURL        string `json:"ssh_url,omitempty"`
	WebURL        string `json:"web_url,omitempty"`
	DefaultBranch string `json:"default_branch,omitempty"`
}

// Trusted tells whether the event's commit was written by somebody who may write to the repository.
func (e Event) Trusted() bool { return e.Request == nil || !e.Request.Fork }

// File is one file of a repository at a commit, path relative to its root with forward slashes.
type File struct {
	Path string
	Data []byte
}

// Access is how a repository is fetched: an http, https or ssh URL and, for http, basic credentials. Password never
// prints.
type Access struct {
	URL      string
	Username string
	Password Secret
}

// Secret is a value that shows as *** wherever it is formatted or encoded. string(s) is the value.
type Secret string

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
