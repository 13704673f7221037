package gitlab

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace-ci/millrace/agent/report"
	"github.com/millrace-ci/millrace/triggers"
)

// maxPipelines bounds the pipelines of a merge request that are looked at.
const maxPipelines = "per_page=20"

// place says on which ref, or in which pipeline, s belongs. GitLab puts a status that names a branch or tag into the
// newest pipeline of commit and ref. A merge request's pipelines are not on its branch, so there the newest one of the
// commit is asked for; a request that has none gets an external one on a branch that GitLab chooses.
func (f *Forge) place(ctx context.Context, n report.Notice, s *commitStatus) error {
	if branch, tag := triggers.SplitRef(n.Ref); branch+tag != "" {
		s.Ref = branch + tag
		return nil
	}
	number, ok := strings.CutPrefix(n.Ref, "refs/merge-requests/")
	number, whole := strings.CutSuffix(number, "/head")
	if !ok || !whole || strings.Trim(number, "0123456789") != "" {
		return nil
	}
	address := f.project(n.Repo).JoinPath("merge_requests", number, "pipelines")
	address.RawQuery = maxPipelines
	var pipelines []struct { // the newest first
		ID  int64  `json:"id"`
		SHA string `json:"sha"`
	}
	if _, err := report.Get(ctx, f.client, address.String(), f.header(), &pipelines); err != nil && report.Refused(err) == nil {
		return fmt.Errorf("find the merge request's pipeline: %w", err)
	}
	for _, p := range pipelines { // None, where they may not be seen.
		if p.SHA == n.Commit {
			s.PipelineID = p.ID
			break
		}
	}
	return nil
}
