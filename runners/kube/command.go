package kube

import (
	_ "embed"
	"strings"

	"github.com/millrace-ci/millrace/runners"
)

// taskScript runs a command, see there. It is the same for all, the command is its arguments.
//
//go:embed task.sh
var taskScript string

// argv is the task's command as the kubelet is told it. Nothing of it is read by a shell of ours.
func argv(job runners.Job) []string {
	command := job.Command
	if job.Pod.Shell {
		command = append([]string{"/bin/sh", "-c", taskScript, "sh"}, command...)
	}
	literals := make([]string, 0, len(command))
	for _, arg := range command {
		literals = append(literals, literal(arg))
	}
	return literals
}

// literal is text that the kubelet leaves alone: it replaces $(NAME) in commands and environment, and $$ stands for $.
func literal(text string) string { return strings.ReplaceAll(text, "$", "$$") }
