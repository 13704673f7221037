package gitlabtest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/test/gitlabtest"
)

// ask asks the API and returns the code and the answer.
func ask(t *testing.T, s *gitlabtest.Server, method, path, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/api/v4/projects/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("PRIVATE-TOKEN", token)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// words are statuses in a line, newest first.
func words(all []gitlabtest.Status) string {
	var list []string
	for _, s := range all {
		word := fmt.Sprintf("%s=%s", s.Name, s.State)
		if s.Retried {
			word += " (retried)"
		}
		list = append(list, word)
	}
	return strings.Join(list, ", ")
}

// TestTransitions is the state machine as GitLab's own spec/services/ci/create_commit_status_service_spec.rb has it.
func TestTransitions(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	sha := commit(t, w, "one", nil, "HEAD:main")
	const refused = `{"message":"Cannot transition status via :%[1]s from :%[2]s (Reason(s): Status cannot transition via \"%[1]s\")"}`
	for i, c := range []struct{ states, refused, want string }{
		{"pending running success", "", "success"},
		{"running failed", "", "failed"},
		{"canceled", "", "canceled"},
		{"skipped", "", "skipped"},
		{"pending pending", fmt.Sprintf(refused, "enqueue", "pending"), "pending"},
		{"running pending", fmt.Sprintf(refused, "enqueue", "running"), "running"},
		{"running running", fmt.Sprintf(refused, "run", "running"), "running"},
		{"running skipped", fmt.Sprintf(refused, "skip", "running"), "running"},
		{"failed success", "", "success, failed (retried)"},
		{"success success", "", "success, success (retried)"},
		{"success pending running", "", "running, success (retried)"},
	} {
		job := fmt.Sprintf("job%d", i)
		states := strings.Fields(c.states)
		for j, state := range states {
			code, answer := ask(t, s, http.MethodPost, "1/statuses/"+sha, fmt.Sprintf(`{"state":%q,"name":%q,"description":%q}`, state, job, state))
			if last := j == len(states)-1; last && c.refused != "" {
				if code != http.StatusBadRequest || strings.TrimSpace(answer) != c.refused {
					t.Errorf("%s: got %d %s, want 400 %s", c.states, code, answer, c.refused)
				}
			} else if code != http.StatusCreated {
				t.Errorf("%s: got %d %s", c.states, code, answer)
			}
		}
		var its []gitlabtest.Status
		for _, status := range s.Statuses(name, sha) {
			if status.Name == job {
				if !status.Retried && c.refused != "" && *status.Description != states[0] {
					t.Errorf("%s: a refused status changed the description to %q", c.states, *status.Description)
				}
				its = append(its, status)
			}
		}
		if got := strings.ReplaceAll(words(its), job+"=", ""); got != c.want {
			t.Errorf("%s: got %s, want %s", c.states, got, c.want)
		}
	}
}

// TestPipelines has a status in the pipeline that it names, else the newest of commit and ref, else one of its own.
func TestPipelines(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	sha := commit(t, w, "one", nil, "HEAD:main", "HEAD:topic")
	post := func(body string) string {
		code, answer := ask(t, s, http.MethodPost, "shop%2Ftools%2Fapi/statuses/"+sha, body)
		if code != http.StatusCreated {
			return fmt.Sprint(code)
		}
		last := s.Statuses(name, sha)
		for _, status := range last {
			if strings.Contains(answer, fmt.Sprintf(`"id":%d,`, status.ID)) {
				return fmt.Sprintf("%d on %s", status.PipelineID, status.Ref)
			}
		}
		return answer
	}
	got := []string{
		post(`{"state":"pending","name":"a"}`),
		post(`{"state":"pending","name":"b"}`),
		post(`{"state":"pending","name":"a","ref":"topic"}`),
	}
	own := s.AddPipeline(name, sha, "main")
	got = append(got, post(`{"state":"running","name":"a","ref":"main"}`), post(`{"state":"running","name":"a","pipeline_id":1}`), post(`{"state":"running","pipeline_id":99}`))
	want := []string{"1 on main", "1 on main", "4 on topic", fmt.Sprintf("%d on main", own), "1 on main", "404"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pipelines (-want +got):\n%s", diff)
	}
}

func TestStatusesRoundTrip(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	sha := commit(t, w, "one", nil, "HEAD:main")
	f := forge(t, s, secret)
	notice := report.Notice{Repo: name, Commit: sha, Ref: "refs/heads/main", Context: "millrace/ci", Text: "going", URL: "http://127.0.0.1/runs/1"}
	// Twice each: what was told already is no error. After the end a second run of the commit begins.
	for _, state := range []report.State{
		report.Pending, report.Pending, report.Running, report.Running, report.Pending, report.Failed,
		report.Pending, report.Running, report.Succeeded,
	} {
		notice.State = state
		if _, err := f.Notify(t.Context(), notice); err != nil {
			t.Fatalf("%s: %v", state, err)
		}
	}
	if got, want := words(s.Statuses(name, sha)), "millrace/ci=success, millrace/ci=failed (retried)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, list := ask(t, s, http.MethodGet, "1/repository/commits/"+sha+"/statuses", "")
	if strings.Count(list, `"millrace/ci"`) != 1 || !strings.Contains(list, `"status":"success"`) || !strings.Contains(list, `"target_url":"http://127.0.0.1/runs/1"`) {
		t.Errorf("list: got %s, want the latest", list)
	}
}

// TestARequestsStatus goes to the merge request's own pipeline, which is not on its branch.
func TestARequestsStatus(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	sha := commit(t, w, "one", nil, "HEAD:main", "HEAD:topic")
	if _, err := s.OpenRequest(name, "topic", "main"); err != nil {
		t.Fatal(err)
	}
	s.AddPipeline(name, sha, "topic")
	own := s.AddPipeline(name, sha, "refs/merge-requests/1/head")
	s.AddPipeline(name, sha, "main")
	notice := report.Notice{Repo: name, Commit: sha, Ref: "refs/merge-requests/1/head", Context: "millrace/ci", State: report.Succeeded}
	if _, err := forge(t, s, secret).Notify(t.Context(), notice); err != nil {
		t.Fatal(err)
	}
	if got := s.Statuses(name, sha); len(got) != 1 || got[0].PipelineID != own {
		t.Errorf("got %+v, want one in pipeline %d", got, own)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	sha := commit(t, w, "one", nil, "HEAD:topic", "HEAD:refs/tags/v1")
	push(t, w, ":topic")
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		name, path, body, token string
		want                    int
	}{
		{"no token", "1/statuses/" + sha, `{"state":"success","ref":"v1"}`, "", 401},
		{"wrong token", "1/statuses/" + sha, `{"state":"success","ref":"v1"}`, "other", 401},
		{"unknown project", "2/statuses/" + sha, `{"state":"success","ref":"v1"}`, token, 404},
		{"unknown commit", "1/statuses/" + strings.Repeat("a", 40), `{"state":"success"}`, token, 404},
		{"no commit", "1/statuses/--help", `{"state":"success"}`, token, 404},
		{"on no branch", "1/statuses/" + sha, `{"state":"success"}`, token, 404},
		{"unknown state", "1/statuses/" + sha, `{"state":"waiting"}`, token, 400},
		{"no JSON", "1/statuses/" + sha, `nonsense`, token, 400},
		{"long text", "1/statuses/" + sha, `{"state":"success","ref":"v1","description":"` + long + `"}`, token, 400},
		{"no link", "1/statuses/" + sha, `{"state":"success","ref":"v1","target_url":"x"}`, token, 400},
		{"sound", "1/statuses/" + sha, `{"state":"success","ref":"v1"}`, token, 201},
	} {
		if got, answer := ask(t, s, http.MethodPost, c.path, c.body, "PRIVATE-TOKEN", c.token); got != c.want {
			t.Errorf("%s: got %d %s, want %d", c.name, got, answer, c.want)
		}
	}
	if got, _ := ask(t, s, http.MethodGet, "1/merge_requests/7/pipelines", ""); got != http.StatusNotFound {
		t.Errorf("pipelines of no request: got %d", got)
	}
}

func TestInjectedFaults(t *testing.T) {
	t.Parallel()
	s, w := start(t)
	sha := commit(t, w, "one", nil, "HEAD:main")
	f := forge(t, s, secret)
	notice := report.Notice{Repo: name, Commit: sha, Ref: "refs/heads/main", Context: "millrace/ci", State: report.Pending}
	s.Fail(1, http.StatusTooManyRequests, 7*time.Second)
	s.Fail(1, http.StatusBadGateway, 0)
	if _, err := f.Notify(t.Context(), notice); report.Wait(err) != 7*time.Second {
		t.Errorf("429: got %v with wait %v, want 7s", err, report.Wait(err))
	}
	if _, err := f.Notify(t.Context(), notice); err == nil || report.IsPermanent(err) || report.Wait(err) != 0 {
		t.Errorf("502: got %v, want one worth another try", err)
	}
	for _, state := range []report.State{report.Pending, report.Running, report.Succeeded} {
		notice.State = state
		s.Cut(1)
		if _, err := f.Notify(t.Context(), notice); err == nil || report.IsPermanent(err) {
			t.Errorf("%s, cut: got %v, want one worth another try", state, err)
		}
		if _, err := f.Notify(t.Context(), notice); err != nil {
			t.Errorf("%s, after the cut: %v", state, err)
		}
	}
	// A final state that is set again is a retry of the job, which shows the same.
	if got, want := words(s.Statuses(name, sha)), "millrace/ci=success, millrace/ci=success (retried)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
