package githubtest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// Status is a commit status, as the API writes it.
type Status struct {
	ID          int64     `json:"id"`
	URL         string    `json:"url"`
	State       string    `json:"state"`
	Description string    `json:"description"`
	TargetURL   string    `json:"target_url"`
	Context     string    `json:"context"`
	Creator     user      `json:"creator"`
	Created     time.Time `json:"created_at"`
	Updated     time.Time `json:"updated_at"`
}

// states are the words that GitHub knows.
var states = []string{"error", "failure", "pending", "success"}

// maxStatuses bounds the statuses of one commit and context, maxText the characters of a description, maxBody the bytes
// of a request.
const maxStatuses, maxText, maxBody = 1000, 140, 64 << 10

var fullSHA = regexp.MustCompile(`^[0-9a-f]{40}$`)

// Statuses lists the statuses that commit sha of owner/name was given, newest first.
func (s *Server) Statuses(owner, name, sha string) []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := append([]Status{}, s.statuses[owner+"/"+name+"@"+sha]...)
	slices.Reverse(all)
	return all
}

func (s *Server) createStatus(w http.ResponseWriter, r *http.Request, repo *repo) {
	sha := r.PathValue("sha")
	var want Status
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&want); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	switch link, err := url.Parse(want.TargetURL); {
	case !s.hasCommit(repo, sha):
		refuse(w, http.StatusUnprocessableEntity, "No commit found for SHA: "+sha)
	case !slices.Contains(states, want.State):
		refuse(w, http.StatusUnprocessableEntity, "Validation Failed", "state is not included in the list")
	case utf8.RuneCountInString(want.Description) > maxText:
		refuse(w, http.StatusUnprocessableEntity, "Validation Failed", "description is too long (maximum is 140 characters)")
	case err != nil || want.TargetURL != "" && link.Scheme != "http" && link.Scheme != "https":
		refuse(w, http.StatusUnprocessableEntity, "Validation Failed", "target_url must use http(s) scheme")
	case !s.limits.create(w):
	default:
		s.keep(w, repo, sha, want)
	}
}

// hasCommit tells whether sha is a commit of repo. What has statuses is.
func (s *Server) hasCommit(repo *repo, sha string) bool {
	return len(s.Statuses(repo.owner, repo.name, sha)) > 0 || fullSHA.MatchString(sha) && repo.HasCommit(s.Context(), sha)
}

// keep numbers and appends a status, unless the commit has too many of its context.
func (s *Server) keep(w http.ResponseWriter, repo *repo, sha string, want Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := repo.Path + "@" + sha
	status := Status{
		State: want.State, Description: want.Description, TargetURL: want.TargetURL, Context: cmp.Or(want.Context, "default"),
		URL: s.API() + "/repos/" + repo.Path + "/statuses/" + sha, Creator: s.user(pusher), Created: time.Now().UTC(),
	}
	count := 0
	for _, other := range s.statuses[key] {
		if other.Context == status.Context {
			count++
		}
	}
	if count >= maxStatuses {
		refuse(w, http.StatusUnprocessableEntity, "Validation Failed", "This SHA and context has reached the maximum number of statuses.")
		return
	}
	s.lastID++
	status.ID, status.Updated = s.lastID, status.Created
	s.statuses[key] = append(s.statuses[key], status)
	s.Ring()
	forgekit.Answer(w, http.StatusCreated, status)
}

func (s *Server) listStatuses(w http.ResponseWriter, r *http.Request, repo *repo) {
	forgekit.Answer(w, http.StatusOK, s.Statuses(repo.owner, repo.name, r.PathValue("sha")))
}
