package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	wantsName    = "1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`"
	wantsVisible = "1 to 64 printable characters"
	wantsTask    = "1 to 40 of a-z, 0-9 and `-`"
	wantsUses    = "a template such as script@v1"
)

func (d *decoder) pipeline(p *Pipeline) read {
	return func(n *yaml.Node) {
		d.mapping(n, "a pipeline", keys{
			"name":        d.text(&p.Name, "a pipeline's `name`", validName, wantsName),
			"on":          d.on(&p.On),
			"version":     d.version(&p.Version),
			"concurrency": d.concurrency(&p.Concurrency),
			"required":    d.flag(&p.Required, "`required`"),
			"both":        d.flag(&p.Both, "`both`"),
			"status":      d.status(&p.Status),
			"timeout":     d.duration(&p.Timeout, "`timeout`"),
			"params":      list(d, &p.Params, "`params`", maxParams, d.param),
			"stages":      list(d, &p.Stages, "`stages`", maxStages, d.stage),
		}, "stages")
		d.contexts(p)
		if d.tasks > maxTasks {
			d.fail(n, "a pipeline of %d tasks; at most %d are taken", d.tasks, maxTasks)
		}
	}
}

// on reads the events that a pipeline wants: one (`on: push`), several (`on: [push, tag]`), or a mapping with filters.
func (d *decoder) on(on *On) read {
	return func(n *yaml.Node) {
		d.mapping(asMapping(n), "`on`", keys{
			"push":         d.push(&on.Push),
			"tag":          d.tag(&on.Tag),
			"pull_request": d.request(&on.PullRequest),
		})
	}
}

// asMapping reads `push`, and `[push, tag]`, as what they are short for: {push: {}, tag: {}}.
func asMapping(n *yaml.Node) *yaml.Node {
	events := n.Content
	switch {
	case n.Kind == yaml.ScalarNode && !isNull(n):
		events = []*yaml.Node{n}
	case n.Kind != yaml.SequenceNode:
		return n
	}
	m := &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column}
	for _, event := range events {
		m.Content = append(m.Content, event, &yaml.Node{Kind: yaml.MappingNode, Line: event.Line, Column: event.Column})
	}
	return m
}

func (d *decoder) push(dst **PushFilter) read {
	return func(n *yaml.Node) {
		f := new(PushFilter)
		*dst = f
		d.filter(n, "`push`", keys{
			"branches": d.patterns(&f.Branches, "`branches`", checkPattern),
			"paths":    d.patterns(&f.Paths, "`paths`", checkPath),
		})
	}
}

func (d *decoder) tag(dst **TagFilter) read {
	return func(n *yaml.Node) {
		f := new(TagFilter)
		*dst = f
		d.filter(n, "`tag`", keys{"names": d.patterns(&f.Names, "`names`", checkPattern)})
	}
}

func (d *decoder) request(dst **RequestFilter) read {
	return func(n *yaml.Node) {
		f := new(RequestFilter)
		*dst = f
		d.filter(n, "`pull_request`", keys{
			"branches": d.patterns(&f.Branches, "`branches`", checkPattern),
			"paths":    d.patterns(&f.Paths, "`paths`", checkPath),
			"actions":  d.patterns(&f.Actions, "`actions`", checkAction),
		})
	}
}

// filter reads the conditions of one kind of event. Nothing (`push:`) is no condition.
func (d *decoder) filter(n *yaml.Node, what string, known keys) {
	if !isNull(n) {
		d.mapping(n, what, known)
	}
}

// patterns reads a list of patterns, or one.
func (d *decoder) patterns(dst *[]string, what string, check func(string) error) read {
	item := func(s *string) read {
		return func(n *yaml.Node) {
			text, ok := d.scalar(n, "an item of "+what)
			if !ok {
				return
			}
			if err := check(text); err != nil {
				d.fail(n, "%s", err)
			}
			*s = text
		}
	}
	return func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			n = &yaml.Node{Kind: yaml.SequenceNode, Line: n.Line, Column: n.Column, Content: []*yaml.Node{n}}
		}
		list(d, dst, what, maxPatterns, item)(n)
	}
}

func (d *decoder) stage(s *Stage) read {
	return func(n *yaml.Node) {
		d.mapping(n, "a stage", keys{
			"name":     d.once(&s.Name, "a stage's `name`", validVisible, wantsVisible),
			"parallel": d.flag(&s.Parallel, "`parallel`"),
			"with":     d.with(&s.With),
			"tasks":    list(d, &s.Tasks, "`tasks`", maxTasks, d.task),
		}, "name", "tasks")
	}
}

func (d *decoder) task(t *Task) read {
	return func(n *yaml.Node) {
		d.tasks++
		t.Pos = position(n)
		d.mapping(n, "a task", keys{
			"name": d.once(&t.Name, "a task's `name`", validTask, wantsTask),
			"uses": func(n *yaml.Node) {
				t.UsesPos = position(n)
				d.text(&t.Uses, "`uses`", validUses, wantsUses)(n)
			},
			"with":          d.with(&t.With),
			"runner":        d.text(&t.Runner, "`runner`", validName, wantsName),
			"timeout":       d.duration(&t.Timeout, "`timeout`"),
			"ignore_failed": d.flag(&t.IgnoreFailed, "`ignore_failed`"),
			"retry":         d.retry(&t.Retry),
			"dry_run":       d.flag(&t.DryRun, "`dry_run`"),
		}, "name", "uses")
	}
}

// retryable are the ends of an attempt that an author may let another follow.
var retryable = []string{"failure", "infrastructure", "timeout", "lost"}

func (d *decoder) retry(r *Retry) read {
	return func(n *yaml.Node) {
		d.mapping(n, "`retry`", keys{
			"max":     d.count(&r.Max, "`max`", 1, maxRetries),
			"on":      d.patterns(&r.On, "`on`", checkRetryable),
			"backoff": d.duration(&r.Backoff, "`backoff`"),
		}, "max")
	}
}

func checkRetryable(class string) error {
	if !slices.Contains(retryable, class) {
		return fmt.Errorf("`on` takes %s, not %s", strings.Join(retryable, ", "), quote(class))
	}
	return nil
}
