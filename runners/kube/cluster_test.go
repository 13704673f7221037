package kube_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-ci/millrace/runners/kube"
)

const kubeconfig = `apiVersion: v1
kind: Config
clusters:
- {name: one, cluster: {server: "https://one.example.com"}}
- {name: two, cluster: {server: "https://two.example.com"}}
users: [{name: me, user: {token: secret-word}}]
contexts:
- {name: one, context: {cluster: one, user: me}}
- {name: two, context: {cluster: two, user: me}}
current-context: one
`

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReach(t *testing.T) {
	t.Parallel()
	path := writeFile(t, kubeconfig)
	for name, c := range map[string]struct {
		cfg   kube.ClusterConfig
		host  string
		qps   float32
		burst int
	}{
		"defaults":       {cfg: kube.ClusterConfig{}, host: "https://one.example.com", qps: 50, burst: 100},
		"context":        {cfg: kube.ClusterConfig{Context: "two"}, host: "https://two.example.com", qps: 50, burst: 100},
		"fast":           {cfg: kube.ClusterConfig{QPS: 500}, host: "https://one.example.com", qps: 500, burst: 1000},
		"slow":           {cfg: kube.ClusterConfig{QPS: 5, Burst: 7}, host: "https://one.example.com", qps: 5, burst: 7},
		"without limits": {cfg: kube.ClusterConfig{QPS: -1}, host: "https://one.example.com", qps: -1, burst: 100},
	} {
		c.cfg.Kubeconfig = path
		reach, err := kube.Reach(c.cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if reach.Host != c.host || reach.QPS != c.qps || reach.Burst != c.burst || reach.BearerToken != "secret-word" {
			t.Errorf("%s: got %s with %v calls a second and %d at once, want %s, %v, %d", name, reach.Host, reach.QPS, reach.Burst, c.host, c.qps, c.burst)
		}
	}
}

func TestReachFails(t *testing.T) {
	t.Parallel()
	path, log := writeFile(t, kubeconfig), slog.New(slog.DiscardHandler)
	for name, c := range map[string]struct {
		cfg  kube.ClusterConfig
		text string
	}{
		"no such file":    {kube.ClusterConfig{Kubeconfig: path + "x", Log: log}, path + "x"},
		"no such context": {kube.ClusterConfig{Kubeconfig: path, Context: "three", Log: log}, `"three" does not exist`},
		"no cluster":      {kube.ClusterConfig{Log: log}, "no kubeconfig is set"},
		"no log":          {kube.ClusterConfig{Kubeconfig: path}, "log is missing"},
	} {
		_, err := kube.NewCluster(c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s: got error %v, want one with %q", name, err, c.text)
		}
	}
}

// TestNewAfterRun makes a runner that nobody would watch for.
func TestNewAfterRun(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	cluster, err := kube.NewCluster(kube.ClusterConfig{Kubeconfig: writeFile(t, kubeconfig), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Run(t.Context()); err != nil { // There is nothing to watch.
		t.Fatal(err)
	}
	_, err = kube.New(kube.Config{Cluster: cluster, Namespace: "ci", GitImage: "git", Log: log})
	if err == nil || !strings.Contains(err.Error(), "make runners before Cluster.Run") {
		t.Errorf("got error %v, want one that says what to do", err)
	}
}
