package githubtest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/millrace-ci/millrace/test/forgekit"
)

// checksPermission is what an app needs for check runs. Nobody else may make any.
const checksPermission = "checks"

// CheckRun is a check run, as the API writes it.
type CheckRun struct {
	ID          int64      `json:"id"`
	Name        string     `json:"name"`
	HeadSHA     string     `json:"head_sha"`
	ExternalID  string     `json:"external_id"`
	DetailsURL  string     `json:"details_url"`
	Status      string     `json:"status"`
	Conclusion  *string    `json:"conclusion"`
	StartedAt   time.Time  `json:"started_at"`
	CompletedAt *time.Time `json:"completed_at"`
	Output      Output     `json:"output"`
}

// Output is what a check run says.
type Output struct {
	Title   string `json:"title"`
	Summary string `json:"summary"`
}

// checkStatuses are the words for a check run that an app may say, conclusions those for one that is over.
var (
	checkStatuses = []string{"queued", "in_progress", "completed"}
	conclusions   = []string{"action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"}
)

// maxOutput bounds the summary of a check run, in bytes.
const maxOutput = 65535

// Checks lists the check runs of commit sha of owner/name, newest first.
func (s *Server) Checks(owner, name, sha string) []CheckRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.checks[owner+"/"+name+"@"+sha])
	slices.Reverse(all)
	return all
}

// wanted reads what a client asks for, or refuses it.
func (s *Server) wanted(w http.ResponseWriter, r *http.Request) (want CheckRun, ok bool) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 2*maxBody)).Decode(&want); err != nil {
		refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return want, false
	}
	over := want.Conclusion != nil && *want.Conclusion != ""
	switch {
	case !slices.Contains(checkStatuses, want.Status):
		refuse(w, http.StatusUnprocessableEntity, "Invalid request.", want.Status+" is not a member of [\"queued\", \"in_progress\", \"completed\"].")
	case over != (want.Status == "completed"), over && !slices.Contains(conclusions, *want.Conclusion):
		refuse(w, http.StatusUnprocessableEntity, "Invalid request.", "conclusion and status do not fit")
	case want.Output.Title == "" || want.Output.Summary == "" || len(want.Output.Summary) > maxOutput:
		refuse(w, http.StatusUnprocessableEntity, "Invalid request.", "output wants a title and a summary of at most 65535 characters")
	default:
		return want, true
	}
	return want, false
}

func (s *Server) createCheck(w http.ResponseWriter, r *http.Request, repo *repo) {
	want, ok := s.wanted(w, r)
	if !ok {
		return
	}
	if want.Name == "" || !s.hasCommit(repo, want.HeadSHA) {
		refuse(w, http.StatusUnprocessableEntity, "No commit found for SHA: "+want.HeadSHA)
		return
	}
	if !s.limits.create(w) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	want.ID, want.StartedAt = s.lastID, time.Now().UTC()
	key := repo.Path + "@" + want.HeadSHA
	s.checks[key] = append(s.checks[key], want)
	s.Ring()
	forgekit.Answer(w, http.StatusCreated, want)
}

func (s *Server) updateCheck(w http.ResponseWriter, r *http.Request, repo *repo) {
	want, ok := s.wanted(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, checks := range s.checks {
		for i := range checks {
			if c := &checks[i]; strconv.FormatInt(c.ID, 10) == r.PathValue("check") && s.checksOf(repo, c.HeadSHA) {
				want.ID, want.HeadSHA, want.StartedAt = c.ID, c.HeadSHA, c.StartedAt
				*c = want
				s.Ring()
				forgekit.Answer(w, http.StatusOK, want)
				return
			}
		}
	}
	refuse(w, http.StatusNotFound, "Not Found")
}

// checksOf tells whether a repository has check runs of a commit. s.mu is held.
func (s *Server) checksOf(repo *repo, sha string) bool { return s.checks[repo.Path+"@"+sha] != nil }

// Blind makes the next n lists of check runs empty: GitHub's lists may lag behind what was made.
func (s *Server) Blind(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blind = n
}

func (s *Server) listChecks(w http.ResponseWriter, r *http.Request, repo *repo) {
	named := []CheckRun{}
	s.mu.Lock()
	blind := s.blind > 0
	s.blind = max(0, s.blind-1)
	s.mu.Unlock()
	if blind {
		forgekit.Answer(w, http.StatusOK, map[string]any{"total_count": 0, "check_runs": named})
		return
	}
	for _, c := range s.Checks(repo.owner, repo.name, r.PathValue("sha")) {
		if name := r.URL.Query().Get("check_name"); name == "" || name == c.Name {
			named = append(named, c)
		}
	}
	forgekit.Answer(w, http.StatusOK, map[string]any{"total_count": len(named), "check_runs": named})
}
