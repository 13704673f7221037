package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoad lets anything at all be the configuration: it is refused in words, or can be used.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		"", "server: {listen: '127.0.0.1:0'}\nroles: [plan, work, hook]\n", "roles: hook,plan\nshutdown_grace: 1h\n", "redis: {url: 'redis://:hush@127.0.0.1:1/0'}\n",
		"forges: [{name: hub, kind: github, token: x, webhook_secrets: [hush-hush, {secret: s, repositories: ['a/*'], per_repository: true}]}]\n",
		"runners:\n- {name: a, kind: local}\n- {name: b, kind: kube, namespace: x, policy: {max: {cpu: 4, memory: 1Gi}, tolerations: ['a=b:NoSchedule']}}\ndefault_runner: a\n",
		"secrets: [{name: s, environment: [PATH], templates: [docker_build]}]\nimages: {mirrors: {docker.io: 127.0.0.1:5000}}\n",
		"retention: {deliveries: 1h, deliveries_bytes: 1KiB, runs: -1s}\n", "a: &a [*a]\n", "server: null\nforges: null\nrunners: [null]\n", "server:\n  listen: {}\n  listen: 7\n", "\x00", "- 1\n",
		"a: &a [1,1,1,1]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n",
	} {
		f.Add(text)
	}
	file := filepath.Join(f.TempDir(), "millrace.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file") {
			return // It would have other files read.
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file, nil)
		if err == nil && (c.Server.URL == "" || len(c.Roles) == 0 || c.Validate() != nil) {
			t.Errorf("accepted, and cannot be used: %+v", c)
		}
	})
}
