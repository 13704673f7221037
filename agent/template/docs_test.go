package template_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/pipeline"
	"github.com/millrace-ci/millrace/agent/template"
	"github.com/millrace-ci/millrace/runners/kube"
)

var update = flag.Bool("update", false, "rewrite docs/templates.md")

// TestDocs writes docs/templates.md from the templates and fails when the page is old.
func TestDocs(t *testing.T) {
	t.Parallel()
	const file = "../../docs/templates.md"
	got := page(template.Builtin(template.Platform{Git: kube.DefaultGit}))
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/templates.md is old: run go test ./agent/template -run Docs -update\n%s", diff)
	}
}

// TestImagesAreDocumented holds that docs/images.md names each default image as it is.
func TestImagesAreDocumented(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/images.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{kube.DefaultGit, template.DefaultKaniko, template.DefaultKubectl} {
		if !strings.Contains(string(data), "`"+image+"`") {
			t.Errorf("docs/images.md does not name %s", image)
		}
	}
}

const preface = `# Templates

Made from the code by ` + "`go test ./agent/template -run Docs -update`" + `.

A task names its template by ` + "`uses`" + ` and sets the template's parameters by ` + "`with`" + `; see [images.md](images.md) for the images.
` + "`name@v1`" + ` is exact, ` + "`name`" + ` is the newest. A value of a secret is never written into a pipeline: ` + "`{secret: NAME}`" + ` or
` + "`{secret: NAME/ENTRY}`" + ` refers to one that the operator keeps.

Every task is given APP_VERSION, which names what the run builds. A pipeline's ` + "`version`" + ` says how it is made; the default
is ` + "`" + pipeline.DefaultVersion + "`" + `, such as v20230202-master-bfacd86c. In it stand {branch}, {commit} (its first 8 characters),
{date} and {time} (of the event, UTC), and {tag}. Where a tag was pushed, that stands in the place of all of them, unless
the pattern asks for {tag} itself. What is written before the first name is added only where it is missing: the default
makes v1.2 of the tag 1.2 as well as of v1.2. Whatever cannot stand in an image's tag becomes a hyphen.

`

// page is what people read about the templates.
func page(c template.Catalogue) string {
	var b strings.Builder
	b.WriteString(preface)
	refs := []string{"script@v1", "docker_build@v1", "docker_deploy@v1"}
	shared := common(c, refs)
	for _, ref := range refs {
		t := c[ref]
		fmt.Fprintf(&b, "## %s\n\n%s Runs on: %s.\n\n", ref, t.Description, strings.Join(t.RunsOn, ", "))
		if t.Readme != "" {
			b.WriteString(t.Readme + "\n")
		}
		own := slices.DeleteFunc(slices.Clone(t.Params), func(d param.Decl) bool { return slices.Contains(shared, d.Name) })
		b.WriteString(table(own) + "\n")
	}
	b.WriteString("## On Kubernetes\n\nEach of these templates also takes what a task can ask of a cluster, within what the operator allows.\n\n")
	b.WriteString(table(slices.DeleteFunc(slices.Clone(c[refs[0]].Params), func(d param.Decl) bool { return !slices.Contains(shared, d.Name) })))
	return b.String()
}

// common names the parameters that all the templates have.
func common(c template.Catalogue, refs []string) []string {
	var names []string
	for _, d := range c[refs[0]].Params {
		if !slices.ContainsFunc(refs, func(ref string) bool {
			return !slices.ContainsFunc(c[ref].Params, func(other param.Decl) bool { return cmp.Equal(d, other) })
		}) {
			names = append(names, d.Name)
		}
	}
	return names
}

func table(decls []param.Decl) string {
	var b strings.Builder
	b.WriteString("| parameter | type | default | what |\n|---|---|---|---|\n")
	for _, d := range decls {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, kind(d), defaults(d), what(d))
	}
	return b.String()
}

func kind(d param.Decl) string {
	switch {
	case d.Type == param.Enum:
		return strings.Join(d.Options, ", ")
	case d.Form != "" && d.Type != param.Number:
		return fmt.Sprintf("%s (%s)", d.Type, d.Form)
	}
	return string(d.Type)
}

func defaults(d param.Decl) string {
	var all []string
	if d.Default != nil {
		all = append(all, "`"+d.Default.String()+"`")
	}
	for _, c := range []param.Case{"kube", param.InRequest} {
		if v, ok := d.DefaultIn[c]; ok {
			all = append(all, fmt.Sprintf("%s: `%s`", c, v.String()))
		}
	}
	if len(all) == 0 && d.Required {
		return "required"
	}
	return strings.Join(all, ", ")
}

func what(d param.Decl) string {
	text := d.Description
	if d.Type == param.List && len(d.Options) > 0 {
		text += " These are: `" + strings.Join(d.Options, "`, `") + "`."
	}
	if d.Example != "" {
		text += " For example `" + d.Example + "`."
	}
	return strings.ReplaceAll(text, "|", `\|`)
}
