package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

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

func load(t *testing.T, flags map[string]any) *Config {
	t.Helper()
	c, err := loadConfig("", flags)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigPrecedence(t *testing.T) {
	dir := inFolder(t, "server: {listen: '127.0.0.1:2'}\nretention: {runs: 2h}\n")
	if got := load(t, nil).Server.Listen; got != "127.0.0.1:2" {
		t.Errorf("file over default: got %s", got)
	}
	t.Setenv("MILLRACE_SERVER_LISTEN", "127.0.0.1:3")
	t.Setenv("MILLRACE_RETENTION_DELIVERIES_BYTES", "64KiB")
	t.Setenv("MILLRACE_ROLES", "plan, work")
	t.Setenv("MILLRACE_SHUTDOWN_GRACE", "") // empty is not set
	c := load(t, nil)
	if c.Server.Listen != "127.0.0.1:3" || c.Retention.DeliveriesBytes != 64<<10 {
		t.Errorf("environment over file: got %+v", c)
	}
	if diff := cmp.Diff([]string{"plan", "work"}, c.Roles); diff != "" {
		t.Error(diff)
	}
	if c.Retention.Runs != 2*time.Hour || c.Retention.Deliveries != 168*time.Hour || c.ShutdownGrace != 30*time.Second {
		t.Errorf("neighbours keep the file's and the default value: got %+v", c)
	}
	if got := load(t, map[string]any{"server.listen": "127.0.0.1:4"}).Server.Listen; got != "127.0.0.1:4" {
		t.Errorf("flag over environment: got %s", got)
	}
	if want := filepath.Join(dir, "data"); c.Data != want {
		t.Errorf("got data %s, want %s", c.Data, want)
	}
}

// TestConfigCluster reads what a cluster needs: hosts have dots, and paths slashes, in keys too.
func TestConfigCluster(t *testing.T) {
	inFolder(t, `
runners:
  - {name: main, kind: kube, kubeconfig: k, context: c, namespace: ci, qps: 7.5, pending_timeout: 2m,
     policy: {service_accounts: [deploy], node_selector: {"ci.example.com/poolType": Build}, tolerations: ["ci:NoSchedule"], max: {cpu: "4", memory: 8Gi}, default: {cpu: 500m}, pod_security: restricted}}
images: {mirrors: {"gcr.io": gcr.example.cn, "docker.io/library/": "hub.example.cn/"}, git: g}
registries: [{host: "r.example.com:5000", ca_file: secret1, pull_secret: p}]
secrets: [{name: s, kubernetes: ci/s, repositories: ["shop/*"], templates: [script]}]
`, "PEM")
	c := load(t, nil)
	want := RunnerConfig{
		Name: "main", Kind: "kube", Capacity: kubeCapacity, Kubeconfig: "k", Context: "c", Namespace: "ci", QPS: 7.5, PendingTimeout: 2 * time.Minute,
		Policy: PolicyConfig{
			ServiceAccounts: []string{"deploy"}, NodeSelector: map[string]string{"ci.example.com/poolType": "Build"}, Tolerations: []string{"ci:NoSchedule"},
			Max: ResourcesConfig{CPU: "4", Memory: "8Gi"}, Default: ResourcesConfig{CPU: "500m"}, PodSecurity: "restricted",
		},
	}
	if diff := cmp.Diff([]RunnerConfig{want}, c.Runners); diff != "" {
		t.Errorf("runners (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"gcr.io": "gcr.example.cn", "docker.io/library/": "hub.example.cn/"}, c.Images.Mirrors); diff != "" {
		t.Errorf("mirrors (-want +got):\n%s", diff)
	}
	if got := c.usedImages(); got[0].Image != "g" || got[1].Image == "" || c.platform().Registries[0].CA != "PEM" || c.DefaultRunner != "main" {
		t.Errorf("got %+v, %+v", got, c)
	}
	if s := c.secrets()["s"]; s.From.Kubernetes != "ci/s" || s.Policy.Repositories[0] != "shop/*" {
		t.Errorf("secret: got %+v", s)
	}
}

// TestClientsVariables checks that what the client reads does not become the daemon's configuration.
func TestClientsVariables(t *testing.T) {
	inFolder(t, "server: {listen: '127.0.0.1:2'}\n")
	t.Setenv("MILLRACE_SERVER", "http://elsewhere:8080")
	t.Setenv("MILLRACE_TOKEN", "x")
	t.Setenv("MILLRACE_PORT", "tcp://10.0.0.1:8080") // what Kubernetes gives every pod beside a service of our name
	c := load(t, nil)
	if c.Server.Listen != "127.0.0.1:2" || c.Server.URL != "http://127.0.0.1:2" {
		t.Errorf("got %+v", c.Server)
	}
}

func TestServerURL(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", ":80": "http://localhost:80", "0.0.0.0:80": "http://localhost:80",
		"[::]:80": "http://localhost:80", "ci.example.com:80": "http://ci.example.com:80",
	} {
		inFolder(t, fmt.Sprintf("server: {listen: %q}", listen))
		if got := load(t, nil).Server.URL; got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
	inFolder(t, "server: {url: 'https://example.com/ci/'}")
	if got := load(t, nil).Server.URL; got != "https://example.com/ci" {
		t.Errorf("got %s", got)
	}
}

func TestSecrets(t *testing.T) {
	inFolder(t, `
redis: {url: "redis://:redispass@127.0.0.1:1"}
forges:
  - {name: a, kind: gitea, url: "http://127.0.0.1:3000", token_file: secret1, webhook_secrets: [plainword, {secret: mapped}, {secret_file: secret2, repositories: ["shop/*"]}]}
`, "tokenword\r\n", " hush hush \n")
	c := load(t, nil)
	f := c.Forges[0]
	if string(f.Token) != "tokenword" {
		t.Errorf("got token %q", string(f.Token))
	}
	var got []string
	for _, s := range f.WebhookSecrets {
		got = append(got, string(s.Secret))
	}
	if diff := cmp.Diff([]string{"plainword", "mapped", " hush hush "}, got); diff != "" {
		t.Error(diff)
	}
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", *c), fmt.Sprintf("%#v", *c)} {
		for _, secret := range []string{"redispass", "tokenword", "plainword", "mapped", "hush"} {
			if strings.Contains(shown, secret) {
				t.Errorf("%s is shown: %s", secret, shown)
			}
		}
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
			"server: {listen: nowhere}\ndata: ''\nroles: [hook, planner]\nretention: {deliveries: 0s, deliveries_bytes: -1, runs: -1h}\nshutdown_grace: 0s\nredis: {url: 'redis://:secretpass@ho st'}",
			[]string{
				"data: is empty: name a folder",
				"server.listen: \"nowhere\" is no address: write HOST:PORT, like 127.0.0.1:8080 or :8080",
				"redis.url: cannot be read: write redis://:PASSWORD@HOST:6379/DB, rediss:// or unix:///PATH, and what is special in a password as %40 for @, %2F for /, %3A for :, %25 for %",
				"roles: \"planner\" is none of hook, plan, work, report, web",
				"retention.deliveries: must be more than 0",
				"retention.deliveries_bytes: must be more than 0",
				"retention.runs: must be more than 0",
				"shutdown_grace: must be more than 0",
			},
		},
		"no roles":   {"roles: []", []string{"roles: is empty, so this agent would do nothing: name some of hook, plan, work, report, web"}},
		"server.url": {"server: {url: 'ci.example.com'}", []string{"server.url: url \"ci.example.com\", want https://host or http://host"}},
		"forges and runners": {
			"forges: [{name: A b, kind: bitbucket}, {name: a, kind: github, repositories: ['[x']}, {name: a, kind: github}]\nrunners: [{name: x, kind: kube, capacity: -1}, {name: y, kind: local}]\ndefault_runner: z",
			[]string{
				"forges[0].name: \"A b\": use a-z, 0-9 and -, at most 40 characters",
				"forges[2].name: another one is named \"a\" too",
				"forges[0].kind: \"bitbucket\" is not known, say gitea, github or gitlab",
				"forges[1].repositories: \"[x\" is no glob, like shop/*",
				"runners[0].capacity: must be more than 0",
				"runners[0].namespace: say where jobs are to be made",
				"default_runner: \"z\" is the name of none of the runners",
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

func TestConfigFiles(t *testing.T) {
	inFolder(t, "server: {listen: [\n")
	if _, err := loadConfig("", nil); err == nil || !strings.Contains(err.Error(), "read configuration millrace.yaml: ") {
		t.Errorf("no YAML: got %v", err)
	}
	if _, err := loadConfig("other.yaml", nil); err == nil || err.Error() != "there is no configuration file other.yaml" {
		t.Errorf("no file: got %v", err)
	}
	t.Chdir(t.TempDir())
	load(t, nil) // No file is no mistake where none was named.
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Bytes{"0": 0, "1024": 1024, "64KiB": 64 << 10, "512MiB": 512 << 20, "1GiB": 1 << 30} {
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5MB", "-1", "1.5GiB", "MiB", "9999999999GiB", "1 GiB"} {
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

// TestConfigDocument checks docs/configuration.md and Config against each other: the same keys, defaults and variables.
func TestConfigDocument(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.\\[\\]]+)` \\| (?:`([^`|]*)`|[^`|][^|]*) \\|").FindAllStringSubmatch(string(data), -1) {
		got[row[1]] = row[2] // "" for one in words
	}
	want := map[string]string{}
	for key, t := range keysOf(reflect.TypeFor[Config](), "") {
		if (single(t) || t.Kind() == reflect.Map) && !strings.HasSuffix(key, "[]") {
			want[key] = ""
		}
	}
	d := defaults()
	want["server.listen"], want["data"], want["roles"] = d.Server.Listen, d.Data, strings.Join(d.Roles, ", ")
	want["retention.deliveries"], want["retention.runs"] = hours(d.Retention.Deliveries), hours(d.Retention.Runs)
	want["retention.deliveries_bytes"] = fmt.Sprintf("%dMiB", d.Retention.DeliveriesBytes>>20)
	want["shutdown_grace"] = d.ShutdownGrace.String()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/configuration.md (-code +document)\n%s", diff)
	}
}

func hours(d time.Duration) string { return fmt.Sprintf("%dh", int(d.Hours())) }
