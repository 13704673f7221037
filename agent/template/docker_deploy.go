package template

import (
	_ "embed"
	"strings"

	"github.com/millrace-ci/millrace/agent/param"
)

var (
	//go:embed builtin/docker_deploy.sh
	deployScript string
	//go:embed builtin/docker_deploy.md
	deployReadme string
	//go:embed builtin/docker_deploy.role.yaml
	deployRole string
)

// configSecret is the parameter that names a secret with a kubeconfig.
const configSecret = "kube_config_secret" //nolint:gosec // The name of a parameter.

// dockerDeploy gives a workload new images with kubectl. Its script is constant: values come as environment, and the
// list of images as arguments.
func dockerDeploy(p Platform) Template {
	return Template{
		Name:        "docker_deploy",
		Version:     "v1",
		Description: "Rolls a workload of a Kubernetes cluster to a new image with kubectl, and waits until it is available.",
		Readme:      strings.Replace(deployReadme, "ROLE\n", deployRole, 1),
		RunsOn:      []string{"kube"},
		Params:      append(dockerDeployParams(), onKube()...),
		Container: Container{
			Image:    p.Kubectl,
			Command:  []string{"sh", "-c", literal(deployScript), "docker_deploy"},
			Args:     []Arg{{Text: "${IMAGES}", Each: "IMAGES"}},
			Volumes:  []Volume{{Secret: configSecret, Path: "/kube"}},
			Shell:    true,
			APIToken: true,
		},
	}
}

// literal writes a text so that nothing in it is replaced.
func literal(s string) string { return strings.ReplaceAll(s, "${", "$${") }

func dockerDeployParams() []param.Decl {
	kinds := []string{"deployment", "statefulset", "daemonset", "cronjob"}
	return []param.Decl{
		{
			Name: "WORKLOAD_KIND", Type: param.Enum, Use: param.UseEnv, Required: true, Options: kinds, Default: text("deployment"),
			Description: "What the workload is.",
		},
		{
			Name: "WORKLOAD_NAME", Type: param.Text, Use: param.UseEnv, Required: true, Form: param.FormName, Example: "api",
			Description: "Its name.",
		},
		{
			Name: "NAMESPACE", Type: param.Text, Use: param.UseEnv, Form: param.FormName, Example: "shop",
			Description: "Its namespace. Without it, that of the runner, or of the kubeconfig's context.",
		},
		{
			Name: "CONTAINER", Type: param.Text, Use: param.UseEnv, Form: param.FormName, Example: "api",
			Description: "The container that gets the image. Without it, the only one.",
		},
		{
			Name: "IMAGE", Type: param.Text, Use: param.UseEnv, Form: param.FormImage, FromOutput: true, Example: "{output: image.IMAGE}",
			Description: "The image. The IMAGE that an earlier task writes sets it. Without both, IMAGE_REPOSITORY with the tag APP_VERSION.",
		},
		{
			Name: "IMAGE_REPOSITORY", Type: param.Text, Use: param.UseEnv, Form: param.FormRepository, Example: "registry.example.com/shop/api",
			Description: "Repository of the image. Without it, that of the image which the container has.",
		},
		{
			Name: "IMAGES", Type: param.List, Use: param.UseTemplate, Form: param.FormAssignment, Example: "[api=registry.example.com/shop/api:v2]",
			Description: "Images of several containers, init containers too, each CONTAINER=IMAGE: instead of CONTAINER and IMAGE (after a build say `IMAGE: null`).",
		},
		{
			Name: "TIMEOUT", Type: param.Text, Use: param.UseEnv, Required: true, Form: param.FormDuration, Default: text("5m"), Example: "10m",
			Description: "How long the rollout may take, and a roll back again.",
		},
		{
			Name: "ROLLBACK", Type: param.Boolean, Use: param.UseEnv, Default: boolean(false),
			Description: "Put the images from before back when the rollout fails. The task fails all the same.",
		},
		{
			Name: configSecret, Type: param.Secret, Use: param.UseTemplate, Example: "{secret: prod/config}",
			Description: "A kubeconfig, for another cluster than that of the runner.",
		},
		{
			Name: "KUBE_CONTEXT", Type: param.Text, Use: param.UseEnv, Example: "prod",
			Description: "Context of that kubeconfig. Without it, its current one.",
		},
	}
}
