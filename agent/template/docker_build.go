package template

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// pushSecret is the parameter that names a secret; kaniko looks for it where docker does.
const pushSecret = "image_push_secret" //nolint:gosec // The name of a parameter.

//go:embed builtin/docker_build.md
var buildReadme string

// dockerBuild builds an image with kaniko. It has no shell: all that it is given comes as arguments.
func dockerBuild(p Platform) Template {
	args, files := registryArgs(p)
	return Template{
		Name:        "docker_build",
		Version:     "v1",
		Readme:      buildReadme,
		Description: "Builds an image from a Dockerfile of the repository with kaniko, and pushes it.",
		RunsOn:      []string{"kube"},
		Params:      append(dockerBuildParams(), onKube()...),
		Outputs:     map[string]string{"IMAGE": "image", "IMAGE_DIGEST": "image_digest", "IMAGE_TAGGED": "image_tagged"},
		Container: Container{
			Image:   p.Kaniko,
			Command: []string{"/kaniko/executor"},
			Args:    append(args, dockerBuildArgs()...),
			Env:     map[string]string{"DOCKER_CONFIG": "/kaniko/.docker"},
			Volumes: []Volume{{Secret: pushSecret, Path: "/kaniko/.docker", As: map[string]string{".dockerconfigjson": "config.json"}}},
			Files:   files,
			Root:    true,
		},
	}
}

// dockerBuildArgs are the flags of kaniko's executor. The first destination is the one that the outputs name. What was
// not pushed has no digest to hand on. Of equal labels the last counts. What is kaniko's own default is not said, so that
// an executor that has dropped such a flag still works.
func dockerBuildArgs() []Arg {
	return []Arg{
		{Text: "--force"}, // kaniko cannot tell under every container runtime that it is in a container
		{Text: "--log-format=text"},
		{Text: "--verbosity=${VERBOSITY}"},
		{Text: "--context=dir:///workspace/${CONTEXT}"},
		{Text: "--dockerfile=${APP_DOCKERFILE}"},
		{Text: "--destination=${IMAGE_REPOSITORY}:${APP_VERSION}"},
		{Text: "--destination=${IMAGE_REPOSITORY}:${EXTRA_TAGS}", Each: "EXTRA_TAGS"},
		{Flag: "--destination", Each: "EXTRA_DESTINATIONS"},
		{Text: "--no-push", Unless: "PUSH"},
		{Text: "--image-name-tag-with-digest-file=/dev/termination-log", When: "PUSH"},
		{Text: "--push-retry=${PUSH_RETRY}"},
		{Flag: "--build-arg", Each: "BUILD_ARGS"},
		{Text: "--target=${TARGET}"},
		{Text: "--custom-platform=${CUSTOM_PLATFORM}"},
		{Text: "--label=org.opencontainers.image.source=${GIT_HTTP_URL}"},
		{Text: "--label=org.opencontainers.image.revision=${GIT_COMMIT_ID}"},
		{Text: "--label=org.opencontainers.image.version=${APP_VERSION}"},
		{Text: "--label=org.opencontainers.image.created=${EVENT_TIME}"},
		{Flag: "--label", Each: "LABELS"},
		{Text: "--cache", When: "CACHE_ENABLE"},
		{Text: "--cache-repo=${IMAGE_REPOSITORY}/cache", When: "CACHE_ENABLE", Unless: "CACHE_REPO"}, // kaniko infers it only when it pushes
		{Text: "--cache-repo=${CACHE_REPO}", When: "CACHE_ENABLE"},
		{Text: "--cache-ttl=${CACHE_TTL}", When: "CACHE_ENABLE"},
		{Text: "--compressed-caching=false", Unless: "CACHE_COMPRESS"},
		{Text: "--cache-copy-layers", When: "CACHE_COPY_LAYERS"},
		{Text: "--cache-run-layers=false", Unless: "CACHE_RUN_LAYERS"},
		{Text: "--no-push-cache", Unless: "CACHE_PUSH"},
		{Text: "--no-push-cache", When: "GIT_MR_NUMBER"}, // of a request, whatever its pipeline says
		{Text: "--snapshot-mode=${SNAPSHOT_MODE}"},
		{Text: "--single-snapshot", When: "SINGLE_SNAPSHOT"},
		{Text: "--use-new-run", When: "USE_NEW_RUN"},
		{Text: "--skip-unused-stages", When: "SKIP_UNUSED_STAGES"},
		{Text: "--reproducible", When: "REPRODUCIBLE"},
		{Text: "--compression=${COMPRESSION}"},
		{Flag: "--ignore-path", Each: "IGNORE_PATHS"},
		{Text: "--ignore-var-run=false", Unless: "IGNORE_VAR_RUN"},
		{Flag: "--insecure-registry", Each: "INSECURE_REGISTRIES"},
		{Flag: "--skip-tls-verify-registry", Each: "SKIP_TLS_VERIFY_REGISTRIES"},
		{Text: "${EXTRA_FLAGS}", Each: "EXTRA_FLAGS"},
	}
}

// registryArgs is what the operator says of registries. kaniko maps hosts only: a mirror of a path or of one image is
// not for it.
func registryArgs(p Platform) (args []Arg, files map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(p.Mirrors)) {
		if host, whole := wholeHost(key); whole {
			args = append(args, Arg{Text: "--registry-map=" + kanikoHost(host) + "=" + strings.TrimSuffix(p.Mirrors[key], "/")})
		}
	}
	for i, r := range p.Registries {
		host := kanikoHost(r.Host)
		if r.Insecure {
			args = append(args, Arg{Text: "--insecure-registry=" + host}, Arg{Text: "--skip-tls-verify-registry=" + host})
		}
		if r.CA != "" {
			if files == nil {
				files = map[string]string{}
			}
			file := fmt.Sprintf("/kaniko/ca/%d.pem", i)
			files[file] = r.CA
			args = append(args, Arg{Text: "--registry-certificate=" + host + "=" + file})
		}
	}
	return args, files
}

// wholeHost tells whether a key of Mirrors stands for a host: one with a dot, localhost, or what ends with a slash. Other
// names without a slash are images of Docker Hub.
func wholeHost(key string) (host string, whole bool) {
	host, rest, slash := strings.Cut(key, "/")
	name, _, _ := strings.Cut(host, ":")
	return host, rest == "" && (slash || name == "localhost" || strings.Contains(name, "."))
}

// kanikoHost is a host as kaniko compares it: it calls Docker Hub by its oldest name.
func kanikoHost(host string) string {
	if host == "docker.io" || host == "registry-1.docker.io" {
		return "index.docker.io"
	}
	return host
}
