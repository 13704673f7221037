package template_test

import (
	"os/exec"
	"slices"
	"strings"
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

func secret(name, ref, key string) param.Given {
	return param.Given{Name: name, Value: param.Value{Secret: &param.SecretRef{Name: ref, Key: key}}}
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

// TestDockerBuildArgsAll sets every parameter.
func TestDockerBuildArgsAll(t *testing.T) {
	t.Parallel()
	got := render(
		t, template.Platform{}, "docker_build@v1", false, given("IMAGE_REPOSITORY", repository),
		given("APP_DOCKERFILE", "deploy/Dockerfile"), given("CONTEXT", "services/api"), mapped("BUILD_ARGS", "B", "2", "A", "1 1"), given("TARGET", "runtime"),
		mapped("LABELS", "team", "shop"), given("CUSTOM_PLATFORM", "linux/arm64"), listed("EXTRA_TAGS", "latest", "", "v1.2"),
		listed("EXTRA_DESTINATIONS", "mirror.example.com/api:v1"), given("PUSH_RETRY", "3"), secret("image_push_secret", "harbor", "config.json"),
		given("CACHE_ENABLE", "true"), given("CACHE_REPO", "registry.example.com/cache"), given("CACHE_TTL", "24h"), given("CACHE_COMPRESS", "false"),
		given("CACHE_COPY_LAYERS", "true"), given("CACHE_RUN_LAYERS", "false"), given("CACHE_PUSH", "false"), given("SNAPSHOT_MODE", "redo"),
		given("SINGLE_SNAPSHOT", "true"), given("USE_NEW_RUN", "true"), given("SKIP_UNUSED_STAGES", "true"), given("REPRODUCIBLE", "true"),
		given("COMPRESSION", "zstd"), listed("IGNORE_PATHS", "/var/cache"), given("IGNORE_VAR_RUN", "false"), given("VERBOSITY", "debug"),
		listed("EXTRA_FLAGS", "--cleanup", "--image-download-retry=3"), listed("INSECURE_REGISTRIES", "a:5000"), listed("SKIP_TLS_VERIFY_REGISTRIES", "b"),
	)
	want := []string{
		"/kaniko/executor", "--force", "--log-format=text", "--verbosity=debug", "--context=dir:///workspace/services/api", "--dockerfile=deploy/Dockerfile",
		"--destination=" + repository + ":v1", "--destination=" + repository + ":latest", "--destination=" + repository + ":v1.2",
		"--destination=mirror.example.com/api:v1", "--image-name-tag-with-digest-file=/dev/termination-log", "--push-retry=3",
		"--build-arg=A=1 1", "--build-arg=B=2", "--target=runtime", "--custom-platform=linux/arm64",
		"--label=org.opencontainers.image.source=https://git.example.com/shop/api.git", "--label=org.opencontainers.image.revision=c0ffee",
		"--label=org.opencontainers.image.version=v1", "--label=org.opencontainers.image.created=2026-01-02T03:04:05Z", "--label=team=shop",
		"--cache", "--cache-repo=registry.example.com/cache", "--cache-ttl=24h", "--compressed-caching=false", "--cache-copy-layers", "--cache-run-layers=false", "--no-push-cache",
		"--snapshot-mode=redo", "--single-snapshot", "--use-new-run", "--skip-unused-stages", "--reproducible", "--compression=zstd",
		"--ignore-path=/var/cache", "--ignore-var-run=false", "--insecure-registry=a:5000", "--skip-tls-verify-registry=b", "--cleanup", "--image-download-retry=3",
	}
	if diff := cmp.Diff(want, got.Command); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	secrets := []template.Secret{{
		Ref: param.SecretRef{Name: "harbor", Key: "config.json"}, Path: "/kaniko/.docker", As: map[string]string{".dockerconfigjson": "config.json"},
	}}
	if diff := cmp.Diff(secrets, got.Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

// TestDockerBuildOfRequests holds that a request's run pushes only when it is told to, and never to the cache.
func TestDockerBuildOfRequests(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		given []param.Given
		has   []string
		lacks []string
	}{
		{nil, []string{"--no-push", "--no-push-cache"}, []string{"--image-name-tag-with-digest-file=/dev/termination-log", "--cache"}},
		{[]param.Given{given("PUSH", "true"), given("CACHE_PUSH", "true"), given("CACHE_ENABLE", "true")}, []string{"--no-push-cache", "--cache", "--cache-repo=" + repository + "/cache"}, []string{"--no-push"}},
	} {
		got := render(t, template.Platform{}, "docker_build@v1", true, append(tc.given, given("IMAGE_REPOSITORY", repository))...).Command
		for _, arg := range tc.has {
			if !slices.Contains(got, arg) {
				t.Errorf("%v: no %s in %q", tc.given, arg, got)
			}
		}
		for _, arg := range tc.lacks {
			if slices.Contains(got, arg) {
				t.Errorf("%v: %s in %q", tc.given, arg, got)
			}
		}
	}
}

// TestDockerBuildPlatform holds that what the operator says of registries reaches kaniko.
func TestDockerBuildPlatform(t *testing.T) {
	t.Parallel()
	got := render(t, template.Platform{
		Kaniko:  "registry.example.com/kaniko:v1",
		Mirrors: map[string]string{"docker.io": "registry.example.com/hub", "gcr.io": "gcr.example.com", "golang:1.26": "x", "ghcr.io/a": "y", "plain:5000/": "z/"},
		Registries: []template.Registry{
			{Host: "registry.example.com", CA: "one"}, {Host: "plain:5000", Insecure: true}, {Host: "docker.io", CA: "three"},
		},
	}, "docker_build@v1", false, given("IMAGE_REPOSITORY", repository))
	want := []string{
		"--registry-map=index.docker.io=registry.example.com/hub", "--registry-map=gcr.io=gcr.example.com", "--registry-map=plain:5000=z",
		"--registry-certificate=registry.example.com=/kaniko/ca/0.pem", "--insecure-registry=plain:5000", "--skip-tls-verify-registry=plain:5000",
		"--registry-certificate=index.docker.io=/kaniko/ca/2.pem",
	}
	if diff := cmp.Diff(want, got.Command[1:1+len(want)]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"/kaniko/ca/0.pem": "one", "/kaniko/ca/2.pem": "three"}, got.Files); diff != "" || got.Image != "registry.example.com/kaniko:v1" {
		t.Errorf("image %s, files (-want +got):\n%s", got.Image, diff)
	}
}

// TestBuiltinsRefuse holds that what would leave its place is a problem before anything runs, in words that help.
func TestBuiltinsRefuse(t *testing.T) {
	t.Parallel()
	allowed := "--cleanup, --compression-level, --image-download-retry, --image-fs-extract-retry, --log-timestamp, --push-ignore-immutable-tag-errors, " +
		"--skip-default-registry-fallback, --skip-push-permission-check"
	tests := []struct {
		ref   string
		given param.Given
		want  string
	}{
		{"docker_build@v1", given("CONTEXT", "../.."), "parameter `CONTEXT` takes a path inside the repository, not \"../..\""},
		{"docker_build@v1", given("APP_DOCKERFILE", "https://x/y"), "parameter `APP_DOCKERFILE` takes a path inside the repository, not \"https://x/y\""},
		{"docker_build@v1", given("IMAGE_REPOSITORY", "a:v1"), "parameter `IMAGE_REPOSITORY` takes a repository of images such as registry.example.com/shop/api, without a tag, not \"a:v1\""},
		{"docker_build@v1", listed("EXTRA_FLAGS", "--kaniko-dir=/"), "parameter `EXTRA_FLAGS` takes a list of " + allowed + ", not \"--kaniko-dir=/\""},
		{"docker_build@v1", given("image_push_secret", "hush"), "parameter `image_push_secret` takes a secret that the operator keeps, written {secret: NAME} or {secret: NAME/KEY}, never a value"},
		{"docker_deploy@v1", given("WORKLOAD_NAME", "--all"), "parameter `WORKLOAD_NAME` takes the name of an object of Kubernetes, not \"--all\""},
		{"docker_deploy@v1", listed("IMAGES", "a=b c=d"), "parameter `IMAGES` takes a list, each item of it CONTAINER=IMAGE, not \"a=b c=d\""},
		{"script@v1", given("memory", "much"), "parameter `memory` takes a quantity such as 500m or 2Gi, not \"much\""},
	}
	for _, tc := range tests {
		decls := template.Builtin(template.Platform{})[tc.ref].Params
		_, problems := param.Resolve(decls, param.Defaults("", decls), param.Layer{Given: []param.Given{tc.given}})
		if !slices.ContainsFunc(problems, func(p param.Problem) bool { return p.Message == tc.want }) {
			t.Errorf("%s %s: got %v, want %s", tc.ref, tc.given.Name, problems, tc.want)
		}
	}
}

// TestDockerDeployRender holds that the script reaches the shell as it was written, and values only beside it.
func TestDockerDeployRender(t *testing.T) {
	t.Parallel()
	got := render(
		t, template.Platform{}, "docker_deploy@v1", false, given("WORKLOAD_NAME", "api"), given("NAMESPACE", "shop"), listed("IMAGES", "api=shop/api:v2", "log=shop/log:v1"),
		given("KUBE_CONTEXT", "$(reboot) ${HOME}"), secret("kube_config_secret", "prod", ""), given("service_account", "deploy"), given("memory", "64Mi"),
	)
	want := template.Rendered{
		Image:   template.DefaultKubectl,
		Command: []string{"sh", "-c", template.DeployScript, "docker_deploy", "api=shop/api:v2", "log=shop/log:v1"},
		Env: map[string]string{
			"WORKLOAD_KIND": "deployment", "WORKLOAD_NAME": "api", "NAMESPACE": "shop", "TIMEOUT": "5m", "ROLLBACK": "false", "KUBE_CONTEXT": "$(reboot) ${HOME}",
		},
		Secrets: []template.Secret{{Ref: param.SecretRef{Name: "prod"}, Path: "/kube"}},
		Runner:  map[string]param.Value{"service_account": param.TextValue("deploy"), "memory": param.TextValue("64Mi")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDeployScript has the shell's own opinion of the script, that it knows nothing but what the template gives, and
// that it says who it cannot be before it asks the cluster.
func TestDeployScript(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), "sh", "-n", "-c", template.DeployScript).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	c := exec.CommandContext(t.Context(), "sh", "-c", template.DeployScript, "docker_deploy")
	c.Env = []string{"PATH=/usr/bin:/bin", "WORKLOAD_KIND=deployment", "WORKLOAD_NAME=api", "TIMEOUT=1s"}
	out, err := c.CombinedOutput()
	want := "docker_deploy: nothing says who this task is in the cluster: give it a service_account, or a kube_config_secret\n"
	if err == nil || string(out) != want {
		t.Errorf("error %v, got %q, want %q", err, out, want)
	}
}

// TestReadmeHasTheRole holds that people are shown the Role that the script was tried with.
func TestReadmeHasTheRole(t *testing.T) {
	t.Parallel()
	if got := template.Builtin(template.Platform{})["docker_deploy@v1"].Readme; !strings.Contains(got, "```yaml\n"+template.DeployRole+"```") {
		t.Errorf("got %s", got)
	}
}

// TestScriptImage holds that a task in a cluster has an image, and one elsewhere none that nobody asked for.
func TestScriptImage(t *testing.T) {
	t.Parallel()
	decls := template.Builtin(template.Platform{Git: "git:1"})["script@v1"].Params
	want := param.Layer{Origin: "o", Given: []param.Given{given("IMAGE", "git:1")}}
	if diff := cmp.Diff(want, param.DefaultsIn("kube", "o", decls)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := param.DefaultsIn("local", "", decls).Given; got != nil {
		t.Errorf("local: got %v", got)
	}
}

// TestScriptSecrets holds that a secret in ENV is handed on as one.
func TestScriptSecrets(t *testing.T) {
	t.Parallel()
	env := mapped("ENV", "LEVEL", "debug")
	env.Value.Map["TOKEN"] = param.Value{Secret: &param.SecretRef{Name: "deploy", Key: "token"}}
	got := render(t, template.Platform{}, "script@v1", false, given("SCRIPT", "make"), env)
	want := []template.Secret{{Ref: param.SecretRef{Name: "deploy", Key: "token"}, Env: "TOKEN"}}
	if diff := cmp.Diff(want, got.Secrets); diff != "" || got.Env["LEVEL"] != "debug" {
		t.Errorf("environment %v, secrets (-want +got):\n%s", got.Env, diff)
	}
}
