package run

import (
	"strconv"
	"strings"
	"time"

	"github.com/millrace-ci/millrace/triggers"
)

// Surroundings is what a task is told of the Millrace that runs it.
type Surroundings struct {
	URL   string // the daemon's address for people
	Token string // by which the attempt proves who it is, "" if nobody asks for one

	// Unknown is what stands for an output that is not there, and that nothing is checked against; nil: that is an error.
	Unknown func(task, name string) string
}

// System is the parameters that every task gets and nobody sets. They are all there for every event, empty where the
// event has none, but for those of requests.
func System(s *Snapshot, t Task, around Surroundings) map[string]string {
	plan, e := s.Stages[t.Stage].Tasks[t.Place], s.Event
	address, ref := s.ID+"/"+t.Name, plan.Template.Ref()
	env := map[string]string{
		"CI":     "true",
		"RUN_ID": s.ID, "TASK_ID": address, "TEMPLATE": ref, "PIPELINE": s.Pipeline,
		"ATTEMPT": strconv.Itoa(t.Attempt), "MILLRACE_URL": around.URL,
		"TASK_TOKEN":  around.Token,
		"JOB_TASK_ID": address, "JOB_ID": ref, "PIPELINE_TASK_ID": s.ID, "JOB_TASK_UPDATE_TOKEN": around.Token, // as mflow calls them

		"GIT_REPO": e.Repo.Name, "GIT_SSH_URL": e.Repo.SSHURL, "GIT_HTTP_URL": e.Repo.HTTPURL,
		"GIT_BRANCH": e.Branch, "GIT_TAG": e.Tag, "GIT_COMMIT_ID": e.After, "GIT_BEFORE": e.Before,
		"GIT_AUTHOR": e.Author.Name, "APP_VERSION": s.Version,
		"EVENT_KIND": string(e.Kind), "EVENT_FORGE": e.Forge, "EVENT_SENDER": e.Sender, "EVENT_TIME": eventTime(e),
	}
	if e.Request != nil {
		addRequest(env, *e.Request)
	}
	for name, value := range env {
		env[name] = strings.ReplaceAll(value, "\x00", "\ufffd") // no environment holds a NUL
	}
	return env
}

func eventTime(e triggers.Event) string {
	if e.Time.IsZero() {
		return ""
	}
	return e.Time.UTC().Format(time.RFC3339)
}

// sayable is what templates may refer to: every system parameter but those that prove who the attempt is, empty where
// the event has none.
func sayable(system map[string]string) map[string]string {
	all := map[string]string{}
	for name := range systemNames {
		all[name] = system[name]
	}
	delete(all, "TASK_TOKEN")
	delete(all, "JOB_TASK_UPDATE_TOKEN")
	return all
}

func addRequest(env map[string]string, r triggers.Request) {
	env["GIT_MR_NUMBER"] = strconv.Itoa(r.Number)
	env["GIT_MR_SOURCE_BRANCH"] = r.SourceBranch
	env["GIT_MR_TARGET_BRANCH"] = r.TargetBranch
	env["GIT_MR_ACTION"] = r.Action
	env["GIT_MR_STATUS"] = r.Status
}

// systemNames are the names that nobody may set: those of System and those that belong to it and are not given yet.
// Beside them stands whatever begins with MILLRACE_.
var systemNames = map[string]bool{
	"CI": true, "RUN_ID": true, "TASK_ID": true, "TASK_TOKEN": true, "TEMPLATE": true, "PIPELINE": true, "ATTEMPT": true,
	"JOB_TASK_ID": true, "JOB_ID": true, "PIPELINE_TASK_ID": true, "JOB_TASK_UPDATE_TOKEN": true,
	"GIT_REPO": true, "GIT_SSH_URL": true, "GIT_HTTP_URL": true, "GIT_BRANCH": true, "GIT_TAG": true,
	"GIT_COMMIT_ID": true, "GIT_BEFORE": true, "GIT_AUTHOR": true,
	"GIT_MR_NUMBER": true, "GIT_MR_SOURCE_BRANCH": true, "GIT_MR_TARGET_BRANCH": true, "GIT_MR_ACTION": true, "GIT_MR_STATUS": true,
	"EVENT_KIND": true, "EVENT_FORGE": true, "EVENT_SENDER": true, "EVENT_TIME": true, "APP_VERSION": true, "TRACEPARENT": true,
}

func isSystem(name string) bool { return systemNames[name] || strings.HasPrefix(name, "MILLRACE_") }
