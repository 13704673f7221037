package giteatest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// Status is a commit status, as the API writes it.
type Status struct {
	ID          int64     `json:"id"`
	State       string    `json:"status"`
	TargetURL   string    `json:"target_url"`
	Description string    `json:"description"`
	URL         string    `json:"url"`
	Context     string    `json:"context"`
	Creator     user      `json:"creator"`
	Created     time.Time `json:"created_at"`
	Updated     time.Time `json:"updated_at"`
}

// Combined is the state of a commit: the worst of the newest status of each context.
type Combined struct {
	State      string      `json:"state"`
	SHA        string      `json:"sha"`
	TotalCount int         `json:"total_count"`
	Statuses   []Status    `json:"statuses"`
	Repository *repository `json:"repository"`
	CommitURL  string      `json:"commit_url"`
	URL        string      `json:"url"`
}

// states are the words that Gitea knows, the worst first.
var states = []string{"error", "failure", "warning", "pending", "success"}

// maxStatuses bounds the statuses of one commit, maxBody the bytes of a request.
const maxStatuses, maxBody = 10_000, 64 << 10

// Statuses lists the statuses that commit sha of owner/name was given, newest first.
func (s *Server) Statuses(owner, name, sha string) []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := append([]Status{}, s.statuses[owner+"/"+name+"@"+sha]...)
	slices.Reverse(all)
	return all
}

var fullSHA = regexp.MustCompile(`^[0-9a-f]{40}$`)

// api wraps what the API asks first: the token, the repository, the commit.
func (s *Server) api(next func(http.ResponseWriter, *http.Request, *repo)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		repo, sha := s.repo(r.PathValue("owner"), r.PathValue("name")), r.PathValue("sha")
		switch {
		case !s.allowed(r):
			s.refuse(w, http.StatusUnauthorized, "token is required")
		case repo == nil:
			s.refuse(w, http.StatusNotFound, "The target couldn't be found.")
		case !fullSHA.MatchString(sha) || !repo.HasCommit(s.Context(), sha):
			s.refuse(w, http.StatusNotFound, "object does not exist [id: "+sha+"]")
		default:
			next(w, r, repo)
		}
	}
}

// createStatus is what faults are injected into.
func (s *Server) createStatus(w http.ResponseWriter, r *http.Request, repo *repo) {
	s.Suffer(w, r, func(status int) { s.refuse(w, status, "injected fault") }, func(w http.ResponseWriter, r *http.Request) {
		s.setStatus(w, r, repo)
	})
}

func (s *Server) setStatus(w http.ResponseWriter, r *http.Request, repo *repo) {
	status, err := readStatus(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	sha := r.PathValue("sha")
	status.URL = s.URL + "/api/v1/repos/" + repo.Path + "/statuses/" + sha
	status.Creator = s.user(pusher)
	if !s.keep(repo.Path+"@"+sha, &status) {
		s.refuse(w, http.StatusInternalServerError, "too many statuses")
		return
	}
	forgekit.Answer(w, http.StatusCreated, status)
}

// readStatus reads what a client asks for.
func readStatus(body io.Reader) (Status, error) {
	var want struct {
		State       string `json:"state"`
		TargetURL   string `json:"target_url"`
		Description string `json:"description"`
		Context     string `json:"context"`
	}
	if err := json.NewDecoder(body).Decode(&want); err != nil {
		return Status{}, fmt.Errorf("[]: %w", err)
	}
	if !slices.Contains(states, want.State) {
		return Status{}, fmt.Errorf("unknown state %q", want.State)
	}
	return Status{State: want.State, TargetURL: want.TargetURL, Description: want.Description, Context: cmp.Or(want.Context, "default")}, nil
}

// keep numbers and appends a status, unless the commit has too many.
func (s *Server) keep(key string, status *Status) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.statuses[key]) >= maxStatuses {
		return false
	}
	s.lastID++
	status.ID, status.Created = s.lastID, time.Now().UTC()
	status.Updated = status.Created
	s.statuses[key] = append(s.statuses[key], *status)
	s.Ring()
	return true
}

func (s *Server) listStatuses(w http.ResponseWriter, r *http.Request, repo *repo) {
	forgekit.Answer(w, http.StatusOK, s.Statuses(repo.owner, repo.name, r.PathValue("sha")))
}

func (s *Server) combinedStatus(w http.ResponseWriter, r *http.Request, repo *repo) {
	sha := r.PathValue("sha")
	all := s.Statuses(repo.owner, repo.name, sha)
	if len(all) == 0 {
		forgekit.Answer(w, http.StatusOK, Combined{})
		return
	}
	info, api := s.repository(repo), s.URL+"/api/v1/repos/"+repo.Path+"/commits/"+sha
	c := Combined{SHA: sha, Repository: &info, CommitURL: api, URL: api + "/status"}
	worst, seen := len(states)-1, map[string]bool{}
	for _, status := range all {
		if seen[status.Context] {
			continue
		}
		seen[status.Context] = true
		c.Statuses = append(c.Statuses, status)
		worst = min(worst, slices.Index(states, status.State))
	}
	c.State, c.TotalCount = states[worst], len(c.Statuses)
	forgekit.Answer(w, http.StatusOK, c)
}

// refuse answers an error as Gitea does.
func (s *Server) refuse(w http.ResponseWriter, status int, message string) {
	forgekit.Answer(w, status, map[string]any{"errors": nil, "message": message, "url": s.URL + "/api/swagger"})
}
