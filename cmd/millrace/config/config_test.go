package config

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
	c, err := Load("", flags)
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
	want := Runner{
		Name: "main", Kind: "kube", Capacity: kubeCapacity, Kubeconfig: "k", Context: "c", Namespace: "ci", QPS: 7.5, PendingTimeout: 2 * time.Minute,
		Policy: Policy{
			ServiceAccounts: []string{"deploy"}, NodeSelector: map[string]string{"ci.example.com/poolType": "Build"}, Tolerations: []string{"ci:NoSchedule"},
			Max: Resources{CPU: "4", Memory: "8Gi"}, Default: Resources{CPU: "500m"}, PodSecurity: "restricted",
		},
	}
	if diff := cmp.Diff([]Runner{want}, c.Runners); diff != "" {
		t.Errorf("runners (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"gcr.io": "gcr.example.cn", "docker.io/library/": "hub.example.cn/"}, c.Images.Mirrors); diff != "" {
		t.Errorf("mirrors (-want +got):\n%s", diff)
	}
	if c.Images.Git != "g" || c.Registries[0].CA != "PEM" || c.DefaultRunner != "main" {
		t.Errorf("got %+v", c)
	}
	if s := c.Secrets[0]; s.Kubernetes != "ci/s" || s.Repositories[0] != "shop/*" {
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

func TestConfigFiles(t *testing.T) {
	inFolder(t, "server: {listen: [\n")
	if _, err := Load("", nil); err == nil || !strings.Contains(err.Error(), "read configuration millrace.yaml: ") {
		t.Errorf("no YAML: got %v", err)
	}
	if _, err := Load("other.yaml", nil); err == nil || err.Error() != "there is no configuration file other.yaml" {
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
	data, err := os.ReadFile("../../../docs/configuration.md")
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
	d := Default()
	want["server.listen"], want["data"], want["roles"] = d.Server.Listen, d.Data, strings.Join(d.Roles, ", ")
	want["retention.deliveries"], want["retention.runs"] = hours(d.Retention.Deliveries), hours(d.Retention.Runs)
	want["retention.deliveries_bytes"] = fmt.Sprintf("%dMiB", d.Retention.DeliveriesBytes>>20)
	want["retention.runs_bytes"] = fmt.Sprintf("%dGiB", d.Retention.RunsBytes>>30)
	want["spool.max_bytes"] = fmt.Sprintf("%dMiB", d.Spool.MaxBytes>>20)
	want["gaps.every"] = d.Gaps.Every.String()
	want["shutdown_grace"] = d.ShutdownGrace.String()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/configuration.md (-code +document)\n%s", diff)
	}
}

func hours(d time.Duration) string { return fmt.Sprintf("%dh", int(d.Hours())) }
