package agent

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/runners"
	"github.com/millrace-ci/millrace/triggers"
)

// maxEvent bounds the event that a job is given, in bytes: it rides in the job's own object where there is a cluster.
// A longer one goes without its list of changed files, and says by that that it is unknown, and with only the beginning
// of a message that is long.
const (
	maxEvent   = 64 << 10
	maxMessage = 8 << 10 // a byte takes six in JSON at most
)

// Job makes the job of an attempt out of the run's snapshot and the outputs of its earlier tasks. An error is the
// author's or the operator's to mend: the attempt is refused with it.
func (a *Agent) Job(r run.Run, at Attempt) (runners.Job, error) {
	return a.job(r, at, a.surroundings(at))
}

func (a *Agent) job(r run.Run, at Attempt, around run.Surroundings) (runners.Job, error) {
	t, plan, _ := r.Task(at.Task)
	rendered, err := run.Render(r, t, around)
	if err != nil {
		return runners.Job{}, err
	}
	event, err := eventFile(r.Plan.Event)
	if err != nil {
		return runners.Job{}, err
	}
	source, err := a.source(r, plan.Template, rendered)
	if err != nil {
		return runners.Job{}, err
	}
	secrets, err := a.secrets(r.Plan.Event, plan.Template, rendered.Secrets)
	if err != nil {
		return runners.Job{}, err
	}
	files := map[string][]byte{}
	for name, text := range rendered.Files {
		files[path.Clean(name)] = []byte(text)
	}
	return runners.Job{
		ID: at.job(), Run: at.Run, Task: at.Task, Attempt: at.Attempt,
		Source: source, Image: rendered.Image, Command: rendered.Command, Env: rendered.Env,
		Secrets: secrets, Files: files, Event: event, Outputs: parts(plan.Template),
		Timeout: plan.Timeout, Grace: a.cfg.StopGrace, Pod: podOf(plan.Template, rendered.Runner),
	}, nil
}

// surroundings is what an attempt's environment says of this Millrace.
func (a *Agent) surroundings(at Attempt) run.Surroundings {
	return run.Surroundings{URL: a.cfg.URL, Token: a.token(at)}
}

func (a *Agent) token(at Attempt) string {
	if a.cfg.Token == nil {
		return ""
	}
	return a.cfg.Token(at.Run, at.Task, at.Attempt)
}

// eventFile is the event as JSON, within its bound.
func eventFile(e triggers.Event) ([]byte, error) {
	event, err := json.Marshal(e)
	if len(event) > maxEvent {
		e.Files, e.Message = nil, strings.ToValidUTF8(e.Message[:min(len(e.Message), maxMessage)], "")
		event, err = json.Marshal(e)
	}
	if err != nil {
		return nil, fmt.Errorf("write event: %w", err)
	}
	return event, nil
}

// parts is how a message of the template's container becomes outputs.
func parts(t template.Template) map[string]runners.Part {
	if len(t.Outputs) == 0 {
		return nil
	}
	all := make(map[string]runners.Part, len(t.Outputs))
	for name, part := range t.Outputs {
		all[name] = runners.Part(part)
	}
	return all
}

// podOf is what a template and its task ask of a cluster.
func podOf(t template.Template, asked map[string]param.Value) runners.Pod {
	c := t.Container
	p := runners.Pod{
		ServiceAccount: text(asked["service_account"]), APIToken: c.APIToken, Root: c.Root, Shell: c.Shell,
		CPU: text(asked["cpu"]), Memory: text(asked["memory"]),
	}
	for name, v := range asked["node_selector"].Map {
		if p.NodeSelector == nil {
			p.NodeSelector = map[string]string{}
		}
		p.NodeSelector[name] = text(v)
	}
	for _, v := range asked["tolerations"].List {
		p.Tolerations = append(p.Tolerations, text(v))
	}
	return p
}

func text(v param.Value) string {
	if v.Text == nil {
		return ""
	}
	return *v.Text
}

// source is where the commit comes from: over ssh by the key that the task names, else by the forge's own credential.
// An event without a forge (millrace exec) has none: its task runs where the runner stands.
func (a *Agent) source(r run.Run, t template.Template, rendered template.Rendered) (runners.Source, error) {
	e := r.Plan.Event
	if e.Forge == "" {
		return runners.Source{}, nil
	}
	from, err := a.access(e)
	if err != nil {
		return runners.Source{}, err
	}
	s := runners.Source{Ref: e.Ref, Commit: e.After}
	key := rendered.Runner["git_ssh_secret"].Secret
	if key == nil {
		s.URL, s.Username, s.Password = from.URL, from.Username, string(from.Password)
		return s, nil
	}
	secret, err := a.secret(e, t, template.Secret{Ref: *key})
	s.URL, s.Key = a.sshURL(e, from), &secret
	return s, err
}

// sshURL is where an event's repository is cloned with a key. Its name was checked to be a plain path.
func (a *Agent) sshURL(e triggers.Event, from triggers.Access) string {
	host := a.cfg.Forges[e.Forge].SSH
	if u, err := url.Parse(from.URL); err == nil && host == "" {
		host = "ssh://git@" + u.Hostname()
	}
	return host + "/" + e.Repo.Name + ".git"
}

// secrets finds out where the secrets of a task are kept.
func (a *Agent) secrets(e triggers.Event, t template.Template, refs []template.Secret) ([]runners.Secret, error) {
	var all []runners.Secret
	for _, ref := range refs {
		s, err := a.secret(e, t, ref)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// secret asks the operator's word again: it counts as it is now, not as it was when the run was planned.
func (a *Agent) secret(e triggers.Event, t template.Template, s template.Secret) (runners.Secret, error) {
	kept, ok := a.cfg.Secrets[s.Ref.Name]
	if !ok {
		return runners.Secret{}, fmt.Errorf("secret `%s` is not configured any more", s.Ref.Name)
	}
	if err := kept.Policy.Allows(e, t); err != nil {
		return runners.Secret{}, fmt.Errorf("secret `%s` cannot be used here: %w", s.Ref.Name, err)
	}
	return runners.Secret{Name: s.Ref.Name, From: kept.From, Key: s.Ref.Key, Env: s.Env, Path: s.Path, As: s.As}, nil
}
