package template_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-ci/millrace/agent/param"
	"github.com/millrace-ci/millrace/agent/template"
)

// render renders a built-in template with these values over its defaults, for a push or for a request.
func render(t *testing.T, p template.Platform, ref string, request bool, given ...param.Given) template.Rendered {
	t.Helper()
	tmpl, err := template.Builtin(p).Find(ref)
	if err != nil {
		t.Fatal(err)
	}
	layers := []param.Layer{param.Defaults("", tmpl.Params)}
	system := system()
	if request {
		layers = append(layers, param.DefaultsIn(param.InRequest, "", tmpl.Params))
		system["GIT_MR_NUMBER"] = "7"
	}
	settings, problems := param.Resolve(tmpl.Params, append(layers, param.Layer{Given: given})...)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r, err := template.Render(tmpl, settings, system)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func given(name, value string) param.Given {
	return param.Given{Name: name, Value: param.TextValue(value)}
}

func listed(name string, items ...string) param.Given {
	v := param.Value{List: []param.Value{}}
	for _, item := range items {
		v.List = append(v.List, param.TextValue(item))
	}
	return param.Given{Name: name, Value: v}
}

func mapped(name string, pairs ...string) param.Given {
	v := param.Value{Map: map[string]param.Value{}}
	for pair := range slices.Chunk(pairs, 2) {
		v.Map[pair[0]] = param.TextValue(pair[1])
	}
	return param.Given{Name: name, Value: v}
}

const repository = "registry.example.com/shop/api"

func TestDockerBuildArgs(t *testing.T) {
	t.Parallel()
	got := render(t, template.Platform{}, "docker_build@v1", false, given("IMAGE_REPOSITORY", repository))
	want := template.Rendered{
		Image: template.DefaultKaniko,
		Env:   map[string]string{"DOCKER_CONFIG": "/kaniko/.docker"},
		Command: []string{
			"/kaniko/executor", "--force", "--log-format=text", "--verbosity=info", "--context=dir:///workspace/.", "--dockerfile=Dockerfile",
			"--destination=" + repository + ":v1", "--image-name-tag-with-digest-file=/dev/termination-log", "--push-retry=0",
			"--label=org.opencontainers.image.source=https://git.example.com/shop/api.git",
			"--label=org.opencontainers.image.revision=c0ffee", "--label=org.opencontainers.image.version=v1",
			"--label=org.opencontainers.image.created=2026-01-02T03:04:05Z", "--snapshot-mode=full",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
