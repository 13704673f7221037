package pipeline

import "go.yaml.in/yaml/v3"

// Status says which statuses a commit is given beside the pipeline's own, millrace/<pipeline>.
type Status struct {
	Tasks bool `json:"tasks,omitempty"` // one of each task: millrace/<pipeline>/<task>
	Sum   bool `json:"sum,omitempty"`   // one of all pipelines of the commit together: millrace
}

func (d *decoder) status(s *Status) read {
	return func(n *yaml.Node) {
		d.mapping(n, "`status`", keys{
			"tasks": d.flag(&s.Tasks, "`tasks`"),
			"sum":   d.flag(&s.Sum, "`sum`"),
		})
	}
}

// pushTask is the name of a task whose status would be that of the run for a push, where a push runs beside its request.
const pushTask = "push"

// contexts refuses a task whose status would have the name of another.
func (d *decoder) contexts(p *Pipeline) {
	if !p.Both || !p.Status.Tasks {
		return
	}
	for _, s := range p.Stages {
		for _, t := range s.Tasks {
			if t.Name == pushTask {
				d.problems = append(d.problems, d.problem(t.Pos, "with `both` and `status: {tasks: true}` no task is named `push`: its status would be that of the push's run"))
			}
		}
	}
}
