package template

import "github.com/millrace-ci/millrace/agent/param"

// dockerBuildParams are, with their defaults, those of kaniko v1.24.0.
func dockerBuildParams() []param.Decl {
	var all []param.Decl
	for _, group := range [][]param.Decl{whatIsBuilt(), whereItGoes(), howItIsCached(), howItIsBuilt(), whichRegistries()} {
		all = append(all, group...)
	}
	for i := range all {
		all[i].Use = param.UseTemplate
	}
	return all
}

func whatIsBuilt() []param.Decl {
	return []param.Decl{
		{
			Name: "APP_DOCKERFILE", Type: param.Text, Required: true, Form: param.FormPath, Default: text("Dockerfile"), Example: "deploy/Dockerfile",
			Description: "The Dockerfile, from the root of the repository, or else from CONTEXT.",
		},
		{
			Name: "CONTEXT", Type: param.Text, Required: true, Form: param.FormPath, Default: text("."), Example: "services/api",
			Description: "Folder of the repository that the Dockerfile's COPY lines see.",
		},
		{
			Name: "BUILD_ARGS", Type: param.Map, Example: "{GO_VERSION: 1.26}",
			Description: "Values of the Dockerfile's ARG lines. The image's history shows them: a secret does not belong here.",
		},
		{
			Name: "TARGET", Type: param.Text, Example: "runtime",
			Description: "Stage of the Dockerfile that becomes the image. Without it, the last.",
		},
		{
			Name: "LABELS", Type: param.Map, Example: "{team: shop}",
			Description: "Labels of the image. Those of OCI for source, revision, version and creation are set, unless they are given here.",
		},
		{
			Name: "CUSTOM_PLATFORM", Type: param.Text, Example: "linux/arm64",
			Description: "Platform to build for, where it is not the node's own. Nothing is emulated: the node must be able to run its RUN lines.",
		},
	}
}

func whereItGoes() []param.Decl {
	return []param.Decl{
		{
			Name: "IMAGE_REPOSITORY", Type: param.Text, Required: true, Form: param.FormRepository, Example: "registry.example.com/shop/api",
			Description: "Where the image is pushed to, under the tag APP_VERSION.",
		},
		{
			Name: "EXTRA_TAGS", Type: param.List, Form: param.FormTag, Example: "[latest]",
			Description: "More tags for it in IMAGE_REPOSITORY.",
		},
		{
			Name: "EXTRA_DESTINATIONS", Type: param.List, Form: param.FormImage, Example: "[mirror.example.com/shop/api:latest]",
			Description: "More places to push it to, each with its tag.",
		},
		{
			Name: "PUSH", Type: param.Boolean, Default: boolean(true), DefaultIn: inRequests(false),
			Description: "Push the image. Without it there are no outputs.",
		},
		{
			Name: "PUSH_RETRY", Type: param.Number, Form: param.FormCount, Default: text("0"),
			Description: "How often a failed push is tried again.",
		},
		{
			Name: pushSecret, Type: param.Secret, Example: "{secret: harbor/config.json}",
			Description: "Credentials of the registries, for pulling too: an entry `.dockerconfigjson` or `config.json`. The Dockerfile's RUN lines can read them.",
		},
	}
}

func howItIsCached() []param.Decl {
	return []param.Decl{
		{
			Name: "CACHE_ENABLE", Type: param.Boolean, Default: boolean(false),
			Description: "Keep layers in a registry, and take those that are there.",
		},
		{
			Name: "CACHE_REPO", Type: param.Text, Form: param.FormRepository, Example: "registry.example.com/cache/api",
			Description: "Where layers are kept. Without it, IMAGE_REPOSITORY/cache.",
		},
		{
			Name: "CACHE_TTL", Type: param.Text, Form: param.FormDuration, Default: text("336h"),
			Description: "How long a kept layer is taken.",
		},
		{
			Name: "CACHE_COMPRESS", Type: param.Boolean, Default: boolean(true),
			Description: "Compress kept layers: less time, more memory.",
		},
		{
			Name: "CACHE_COPY_LAYERS", Type: param.Boolean, Default: boolean(false),
			Description: "Keep layers of COPY lines.",
		},
		{
			Name: "CACHE_RUN_LAYERS", Type: param.Boolean, Default: boolean(true),
			Description: "Keep layers of RUN lines.",
		},
		{
			Name: "CACHE_PUSH", Type: param.Boolean, Default: boolean(true), DefaultIn: inRequests(false),
			Description: "Add to the kept layers. The run of a request only reads them, whatever is said here.",
		},
	}
}

func howItIsBuilt() []param.Decl {
	return []param.Decl{
		{
			Name: "SNAPSHOT_MODE", Type: param.Enum, Options: []string{"full", "redo", "time"}, Default: text("full"),
			Description: "How changed files are found: by all of them, by size, time and owner (faster, less memory), or by time alone (can miss changes).",
		},
		{
			Name: "SINGLE_SNAPSHOT", Type: param.Boolean, Default: boolean(false),
			Description: "One layer for the whole of the last stage: less memory.",
		},
		{
			Name: "USE_NEW_RUN", Type: param.Boolean, Default: boolean(false),
			Description: "Find what a RUN line changed without looking at all files: faster, experimental.",
		},
		{
			Name: "SKIP_UNUSED_STAGES", Type: param.Boolean, Default: boolean(false),
			Description: "Leave out stages that the image does not need.",
		},
		{
			Name: "REPRODUCIBLE", Type: param.Boolean, Default: boolean(false),
			Description: "Leave times out of the image, so that the same input makes the same digest. It takes more memory.",
		},
		{
			Name: "COMPRESSION", Type: param.Enum, Options: []string{"gzip", "zstd"},
			Description: "How layers are compressed. Without it, as those of the base image.",
		},
		{
			Name: "IGNORE_PATHS", Type: param.List, Example: "[/var/cache]",
			Description: "Absolute paths that never become part of the image.",
		},
		{
			Name: "IGNORE_VAR_RUN", Type: param.Boolean, Default: boolean(true),
			Description: "Leave out /var/run.",
		},
		{
			Name: "VERBOSITY", Type: param.Enum, Options: []string{"trace", "debug", "info", "warn", "error", "fatal", "panic"}, Default: text("info"),
			Description: "How much kaniko tells.",
		},
		{
			Name: "EXTRA_FLAGS", Type: param.List, Form: param.FormFlag, Options: extraFlags(), Example: "[--image-download-retry=3]",
			Description: "More flags of kaniko, of those that are allowed.",
		},
	}
}

// extraFlags are flags that can do no more than the parameters can: they name no file, host or credential.
func extraFlags() []string {
	return []string{
		"--cleanup", "--compression-level", "--image-download-retry", "--image-fs-extract-retry",
		"--log-timestamp", "--push-ignore-immutable-tag-errors", "--skip-default-registry-fallback", "--skip-push-permission-check",
	}
}

func whichRegistries() []param.Decl {
	return []param.Decl{
		{
			Name: "INSECURE_REGISTRIES", Type: param.List, Form: param.FormHost, Example: "[registry.local:5000]",
			Description: "Registries that speak plain HTTP.",
		},
		{
			Name: "SKIP_TLS_VERIFY_REGISTRIES", Type: param.List, Form: param.FormHost, Example: "[registry.local]",
			Description: "Registries whose certificates are not verified.",
		},
	}
}
