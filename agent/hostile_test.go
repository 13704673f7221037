package agent_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/agent"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/triggers"
)

// TestNoFileGetsThese: what a pipeline file has no words for it cannot ask for, wherever it writes it, and whichever of the
// templates its task is of.
func TestNoFileGetsThese(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"privileged: true", "hostPath: /", "nodeName: master", "hostNetwork: true", "hostPID: true", "securityContext: {runAsUser: 0}",
		"volumes: [/:/host]", "serviceAccountName: admin", "serviceAccount: admin", "automountServiceAccountToken: true",
		"command: [sh]", "namespace: kube-system", "runtimeClassName: x", "env: {PATH: /tmp}",
	} {
		name, _, _ := strings.Cut(key, ":")
		for _, where := range []string{
			"%s\nstages: [{name: s, tasks: [{name: t, uses: USES}]}]\n",
			"stages: [{name: s, %s, tasks: [{name: t, uses: USES}]}]\n",
			"stages: [{name: s, tasks: [{name: t, uses: USES, %s}]}]\n",
			"stages: [{name: s, tasks: [{name: t, uses: USES, with: {%s}}]}]\n",
			"stages: [{name: s, tasks: [{name: t, uses: USES, pod: {%s}}]}]\n",
		} {
			for uses := range template.Builtin(template.Platform{}) {
				file := strings.ReplaceAll(fmt.Sprintf(where, key), "USES", uses)
				if problems := check(file); !strings.Contains(problems, "`"+name+"`") && !strings.Contains(problems, "`pod`") {
					t.Errorf("taken:\n%s\n%s", file, problems)
				}
			}
		}
	}
}

// TestNoFileSetsThese: variables by which code would be run that nobody wrote into a script, and ours.
func TestNoFileSetsThese(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"PATH", "LD_PRELOAD", "BASH_ENV", "ENV", "IFS", "GIT_SSH_COMMAND", "MILLRACE_URL", "RUN_ID", "TASK_TOKEN"} {
		for _, where := range []string{
			"params: [{name: %s, value: x}]\nstages: [{name: s, tasks: [{name: t, uses: script@v1, with: {SCRIPT: a}}]}]\n",
			"stages: [{name: s, tasks: [{name: t, uses: script@v1, with: {SCRIPT: a, ENV: {%s: x}}}]}]\n",
			"stages: [{name: s, with: {ENV: {%s: x}}, tasks: [{name: t, uses: script@v1, with: {SCRIPT: a}}]}]\n",
		} {
			if problems := check(fmt.Sprintf(where, name)); !strings.Contains(problems, name) {
				t.Errorf("%s is taken: %s", name, problems)
			}
		}
	}
}

// check is what is wrong with a file.
func check(file string) string {
	c := run.Compilation{Catalogue: template.Builtin(template.Platform{}), DefaultRunner: "local"}
	return fmt.Sprint(agent.Check(triggers.File{Path: "a.yaml", Data: []byte(file)}, &pipeline.Names{}, c))
}
