package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// inFolder writes millrace.yaml to a new folder, which becomes the working folder, beside other files.
func inFolder(t *testing.T, config string, others ...string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	for i, text := range append([]string{config}, others...) {
		name := "millrace.yaml"
		if i > 0 {
			name = fmt.Sprintf("secret%d", i)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestConfiguredParts checks what is made of the configuration for the parts that it names.
func TestConfiguredParts(t *testing.T) {
	inFolder(t, `
images: {git: g}
registries: [{host: "r.example.com:5000", ca_file: secret1}]
secrets: [{name: s, kubernetes: ci/s, repositories: ["shop/*"], templates: [script]}]
`, "PEM")
	c, err := loadConfig("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := usedImages(c); got[0].Image != "g" || got[1].Image == "" || platform(c).Registries[0].CA != "PEM" {
		t.Errorf("got %+v, %+v", got, platform(c))
	}
	if s := secrets(c)["s"]; s.From.Kubernetes != "ci/s" || s.Policy.Repositories[0] != "shop/*" {
		t.Errorf("secret: got %+v", s)
	}
}

func TestBadConfig(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		want   []string
	}{
		"unknown keys name the nearest": {
			"server: {listn: 'a:1', nonsense: 1}\nforges: [{name: a, kind: github, tokn: x, webhook_secrets: [{secret: x, secretfile: y}]}]\ngates: {bucket: ''}",
			[]string{
				"forges[0].tokn: unknown key, did you mean `forges[].token`?",
				"forges[0].webhook_secrets[0].secretfile: unknown key, did you mean `forges[].webhook_secrets[].secret_file`?",
				"gates: unknown key",
				"server.listn: unknown key, did you mean `server.listen`?",
				"server.nonsense: unknown key",
			},
		},
		"types, and what YAML makes of a bare number": {
			"server: 5\nshutdown_grace: 30\nretention: {deliveries: soon, deliveries_bytes: 5MB}\nrunners: [{name: a, kind: local, capacity: many}]\nforges: [{name: a, kind: github, token: 0123, webhook_secrets: [12, {secret: 1, per_repository: 1}]}]",
			[]string{
				"server: want a mapping",
				"forges[0].token: want text: put it in quotes",
				"forges[0].webhook_secrets[0]: want text (in quotes), or a mapping",
				"forges[0].webhook_secrets[1].secret: want text: put it in quotes",
				"forges[0].webhook_secrets[1].per_repository: want true or false",
				"runners[0].capacity: want a whole number",
				"retention.deliveries: want a duration like 30s, 15m or 168h",
				"retention.deliveries_bytes: want a size like 65536, 64KiB, 512MiB or 1GiB",
				"shutdown_grace: want a duration like 30s, 15m or 168h",
				"forges[0]: configure forge \"a\": webhook_secrets[0]: the secret is empty, and anybody could sign with it\n    webhook_secrets[1]: the secret is empty, and anybody could sign with it",
			},
		},
		"values": {
			"server: {listen: nowhere}\ndata: ''\nroles: [hook, planner]\nretention: {deliveries: 0s, deliveries_bytes: -1, runs: -1h, runs_bytes: 0}\ngaps: {every: 5s}\nshutdown_grace: 0s\nredis: {url: 'redis://:secretpass@ho st'}",
			[]string{
				"data: is empty: name a folder",
				"server.listen: \"nowhere\" is no address: write HOST:PORT, like 127.0.0.1:8080 or :8080",
				"roles: \"planner\" is none of hook, plan, work, report, web",
				"retention.deliveries: must be more than 0",
				"retention.deliveries_bytes: must be more than 0",
				"retention.runs: must be more than 0",
				"retention.runs_bytes: must be more than 0",
				"shutdown_grace: must be more than 0",
				"gaps.every: must be from 1m0s to 24h0m0s, or 0s for no looks but those of a forge with `poll`",
				"redis.url: cannot be read: write redis://:PASSWORD@HOST:6379/DB, rediss:// or unix:///PATH, and what is special in a password as %40 for @, %2F for /, %3A for :, %25 for %",
			},
		},
		"no roles":   {"roles: []", []string{"roles: is empty, so this agent would do nothing: name some of hook, plan, work, report, web"}},
		"server.url": {"server: {url: 'ci.example.com'}", []string{"server.url: url \"ci.example.com\", want https://host or http://host"}},
		"forges and runners": {
			"forges: [{name: A b, kind: bitbucket}, {name: a, kind: github, repositories: ['[x']}, {name: a, kind: github}]\nrunners: [{name: x, kind: kube, capacity: -1}, {name: y, kind: local}]\ndefault_runner: z",
			[]string{
				"forges[0].name: \"A b\": use a-z, 0-9 and -, at most 40 characters",
				"forges[2].name: another one is named \"a\" too",
				"forges[1].repositories: \"[x\" is no glob, like shop/*",
				"runners[0].capacity: must be more than 0",
				"runners[0].namespace: say where jobs are to be made",
				"default_runner: \"z\" is the name of none of the runners",
				"forges[0].kind: \"bitbucket\" is not known, say gitea, github or gitlab",
			},
		},
		"which runner": {
			"runners: [{name: x, kind: local}, {name: y, kind: local}]",
			[]string{"default_runner: there are several runners: say which one tasks get that name none"},
		},
		"what is for clusters alone": {
			"runners: [{name: x, kind: local, namespace: ci, qps: 5}]",
			[]string{"runners[0]: namespace, qps is for a runner of kind kube"},
		},
		"two rates for a cluster": {
			"default_runner: x\nrunners: [{name: x, kind: kube, namespace: a, qps: 20}, {name: y, kind: kube, namespace: b}, {name: z, kind: kube, namespace: b, context: c, qps: 5}]",
			[]string{"runners[1].qps: it is 0, and 20 for runners[0] of the same cluster, which share one rate: say the same for both"},
		},
		"kinds of runner": {
			"runners: [{name: x, kind: docker}]",
			[]string{"runners[0].kind: \"docker\" is not known, say local or kube"},
		},
		"secrets, registries and ssh": {
			"secrets: [{name: a}, {name: a, file: x, kubernetes: y}, {name: b, environment: [B], events: [comment], refs: ['[v']}]\n" +
				"registries: [{}, {host: h}, {host: h}]\nforges: [{name: f, kind: github, ssh_url: 'git@host:x'}]\nserver: {secret_file: ''}",
			[]string{
				"forges[0].ssh_url: \"git@host:x\" is not ssh://USER@HOST or ssh://USER@HOST:PORT",
				"secrets[1].name: another one is named \"a\" too",
				"secrets[0]: say where it is kept: kubernetes (NAMESPACE/NAME), file or environment, one of them",
				"secrets[1]: say where it is kept: kubernetes (NAMESPACE/NAME), file or environment, one of them",
				"secrets[1].kubernetes: \"y\" is not NAMESPACE/NAME",
				"secrets[2].events: \"comment\" is none of push, tag, pull_request",
				"secrets[2].refs: \"[v\" is no glob, like shop/*",
				"registries[0].host: say which, as images name it: harbor.example.com",
				"registries[2].host: \"h\" stands in another entry too",
			},
		},
		"apps": {
			"forges: [{name: a, kind: gitea, url: 'https://x', app: {id: 1}}, {name: b, kind: github, app: {private_key: x}}, {name: c, kind: github, app: {id: 1}}, {name: d, kind: github, app: {id: 1, private_key: x}}]",
			[]string{
				"forges[0].app: only a forge of kind github has apps",
				"forges[1].app.id: say the number that GitHub shows as App ID",
				"forges[2].app.private_key_file: name the file that GitHub made when the app got its private key",
				"forges[2]: configure app of forge \"c\": its private key is no PEM file: take the one that GitHub made",
				"forges[3]: configure app of forge \"d\": its private key is no PEM file: take the one that GitHub made",
			},
		},
		"files of secrets": {
			"forges: [{name: a, kind: github, token: x, token_file: secret1, webhook_secrets: [{secret_file: nofile}, {secret: a, secret_file: secret1}]}, {name: b, kind: github, token_file: secret1}]",
			[]string{
				"forges[0].token: give token or token_file, not both",
				"forges[0].webhook_secrets[0].secret_file: open nofile: no such file or directory",
				"forges[0].webhook_secrets[1].secret: give secret or secret_file, not both",
				"forges[1].token_file: secret1 is empty",
				"forges[0]: configure forge \"a\": webhook_secrets[0]: the secret is empty, and anybody could sign with it",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, test.config, "\n")
			_, err := loadConfig("", nil)
			if err == nil {
				t.Fatal("got no error")
			}
			want := append([]string{"the configuration (millrace.yaml, MILLRACE_*, flags) has problems:"}, test.want...)
			if diff := cmp.Diff(strings.Join(want, "\n  "), err.Error()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
