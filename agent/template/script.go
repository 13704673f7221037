package template

import "github.com/millrace-ci/millrace/agent/param"

// script runs a shell script. The script is code because its author wrote it as code; everything else that it is given
// comes as environment.
func script(p Platform) Template {
	return Template{
		Name:        "script",
		Version:     "v1",
		Description: "Runs a script in the working copy of the repository.",
		RunsOn:      []string{"local", "kube"},
		Open:        true,
		Params: append([]param.Decl{
			{
				Name: "IMAGE", Type: param.Text, Use: param.UseTemplate, Example: "golang:1.26",
				DefaultIn:   map[param.Case]param.Value{"kube": param.TextValue(p.Git)},
				Description: "Container image to run in: it has a POSIX shell. On Kubernetes the default is the image that fetched the repository, which has git. A runner without containers does not use it.",
			},
			{
				Name: "SCRIPT", Type: param.Text, Use: param.UseTemplate, Required: true, Example: "make test",
				Description: "What to run. It ends at the first command that fails.",
			},
			{
				Name: "SHELL", Type: param.Enum, Use: param.UseTemplate, Required: true, Options: []string{"sh", "bash"}, Default: text("sh"),
				Description: "Shell that runs it.",
			},
			{
				Name: "ENV", Type: param.Map, Use: param.UseTemplate, Secrets: true, Example: "{LEVEL: debug, TOKEN: {secret: deploy/token}}",
				Description: "Environment variables of this task. A value can be a secret.",
			},
		}, onKube()...),
		Container: Container{
			Image:   "${IMAGE}",
			Command: []string{"${SHELL}", "-e", "-c", "${SCRIPT}"},
			EnvFrom: []string{"ENV"},
			Shell:   true,
		},
	}
}
