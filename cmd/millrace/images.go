package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/cmd/millrace/config"
	"github.com/millrace-ci/millrace/runners/kube"
)

// usedImage is an image that Millrace starts by itself.
type usedImage struct {
	For   string `json:"for"`
	Image string `json:"image"` // as it is named
	From  string `json:"from"`  // where it comes from, after images.mirrors
}

func imagesCommand(s streams) *cobra.Command {
	var file string
	var output *format
	c := &cobra.Command{
		Use: "images", Short: "List the images that Millrace starts by itself", Args: arguments(0, 0), GroupID: groupDaemon,
		Long: `Lists the images that Millrace starts by itself on Kubernetes, and where the
configuration takes them from: what an operator mirrors who has no way to their
registries. What pipelines name comes on top.`,
		Example: "  millrace images\n  millrace images -c /etc/millrace.yaml -o json",
		RunE: func(*cobra.Command, []string) error {
			cfg, err := loadConfig(file, nil)
			if err != nil {
				return usage(err)
			}
			images := usedImages(cfg)
			return output.print(s.out, images, func(w io.Writer) error { return listImages(w, images) })
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE` (default ./millrace.yaml)")
	output = formatFlag(c)
	return c
}

func usedImages(c *config.Config) []usedImage {
	all := []usedImage{
		{For: "every clone", Image: cmp.Or(c.Images.Git, kube.DefaultGit)},
		{For: "docker_build", Image: cmp.Or(c.Images.Kaniko, template.DefaultKaniko)},
		{For: "docker_deploy", Image: cmp.Or(c.Images.Kubectl, template.DefaultKubectl)},
	}
	for i := range all {
		all[i].From = kube.Mirrored(c.Images.Mirrors, all[i].Image)
	}
	return all
}

func listImages(w io.Writer, images []usedImage) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FOR\tIMAGE\tFROM")
	for _, i := range images {
		fmt.Fprintf(t, "%s\t%s\t%s\n", i.For, i.Image, i.From)
	}
	return t.Flush()
}

// platform is what the built-in templates are told of the operator's images and registries.
func platform(c *config.Config) template.Platform {
	p := template.Platform{Git: cmp.Or(c.Images.Git, kube.DefaultGit), Kaniko: c.Images.Kaniko, Kubectl: c.Images.Kubectl, Mirrors: c.Images.Mirrors}
	for _, r := range c.Registries {
		p.Registries = append(p.Registries, template.Registry{Host: r.Host, CA: r.CA, Insecure: r.Insecure})
	}
	return p
}
