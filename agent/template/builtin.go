package template

import (
	"cmp"

	"github.com/millrace-ci/millrace/agent/param"
)

// Platform is what the operator says about where tasks run. The zero Platform has the default images, and registries that
// need no word.
type Platform struct {
	Git        string            // image that fetches repositories: tasks that name no image run in it, "": they need one
	Kaniko     string            // image of kaniko's executor, "": DefaultKaniko
	Kubectl    string            // image that has kubectl and a POSIX shell, "": DefaultKubectl
	Mirrors    map[string]string // what stands in the place of a host, the beginning of a path, or one image
	Registries []Registry
}

// Registry is what is to be known of a host of images.
type Registry struct {
	Host     string // as images name it, with its port
	CA       string // PEM of the authorities that signed its certificate, "": those that everybody trusts
	Insecure bool   // it speaks plain HTTP, or its certificate is not verified
}

// The default images, by digest: docs/images.md says why these, and how the digests were found.
const (
	DefaultKaniko  = "ghcr.io/osscontainertools/kaniko:v1.28.5-debug@sha256:d6d74217dc077acfd3094992e917c357080a2d3fdd1042a49e34e29a7e57c572"
	DefaultKubectl = "docker.io/alpine/k8s:1.34.1@sha256:ec714df3813b5405292860f8a1c55c5727bf8c33c88992f1e981efad8065547f"
)

// Builtin is the templates of the binary, as they are on this platform.
func Builtin(p Platform) Catalogue {
	p.Kaniko, p.Kubectl = cmp.Or(p.Kaniko, DefaultKaniko), cmp.Or(p.Kubectl, DefaultKubectl)
	c := Catalogue{}
	for _, t := range []Template{script(p), dockerBuild(p), dockerDeploy(p)} {
		c[t.Ref()] = t
	}
	return c
}

// onKube is what every task can ask of a cluster. A runner without one passes over it.
func onKube() []param.Decl {
	return []param.Decl{
		{
			Name: "service_account", Type: param.Text, Use: param.UseRunner, Form: param.FormName, Example: "deploy",
			Description: "Service account of the pod, one that the operator allows.",
		},
		{
			Name: "cpu", Type: param.Text, Use: param.UseRunner, Form: param.FormQuantity, Example: "500m",
			Description: "Processor time that is reserved for the task and that it cannot exceed. The default is the operator's.",
		},
		{
			Name: "memory", Type: param.Text, Use: param.UseRunner, Form: param.FormQuantity, Example: "2Gi",
			Description: "Memory that is reserved for the task. It is killed when it takes more. The default is the operator's.",
		},
		{
			Name: "node_selector", Type: param.Map, Use: param.UseRunner, Example: "{disk: ssd}",
			Description: "Labels of the nodes that the task may run on.",
		},
		{
			Name: "tolerations", Type: param.List, Use: param.UseRunner, Example: "[ci, dedicated=build:NoSchedule]",
			Description: "Taints of nodes that the task puts up with, of those that the operator allows: KEY, KEY=VALUE, KEY:EFFECT or KEY=VALUE:EFFECT.",
		},
		{
			Name: "git_ssh_secret", Type: param.Secret, Use: param.UseRunner, Example: "{secret: deploy-key}",
			Description: "SSH key that the repository is fetched with, instead of the forge's own credential: the entries `ssh-privatekey` or `id_rsa`, and `known_hosts`.",
		},
	}
}

func boolean(yes bool) *param.Value {
	if yes {
		return text("true")
	}
	return text("false")
}

func inRequests(yes bool) map[param.Case]param.Value {
	return map[param.Case]param.Value{param.InRequest: *boolean(yes)}
}

func text(s string) *param.Value {
	v := param.TextValue(s)
	return &v
}
