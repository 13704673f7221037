package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/cmd/millrace/config"
	"github.com/millrace-ci/millrace/internal/redistest"
	"github.com/millrace-ci/millrace/metrics"
)

func TestLogBucket(t *testing.T) {
	t.Parallel()
	for bucket, want := range map[string]string{
		"":                     "",
		"file:///srv/millrace": "",
		"file://localhost/srv": "",
		"file://./logs":        "",
		"mem://":               "",
		"s3://logs?region=eu":  `logs.bucket: this millrace has buckets of the kinds file://, mem://, and "s3://logs?region=eu" is none of them`,
		"gs://logs":            `logs.bucket: this millrace has buckets of the kinds file://, mem://, and "gs://logs" is none of them`,
		"/srv/millrace":        `logs.bucket: this millrace has buckets of the kinds file://, mem://, and "/srv/millrace" is none of them`,
		"file://":              `logs.bucket: "file://" names no folder: write file:///srv/millrace/logs, or file://./logs for one below the working folder`,
		"file://srv/millrace":  `logs.bucket: "file://srv/millrace" names no folder: write file:///srv/millrace/logs, or file://./logs for one below the working folder`,
		"file://%zz":           `logs.bucket: "file://%zz" is no URL, like file:///srv/millrace/logs`,
	} {
		c := config.Default()
		c.Logs.Bucket = bucket
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := checkLogs(c); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", bucket, got, want)
		}
	}
}

// TestLogBucketIsShared checks that an agent which only shows logs is told where they are.
func TestLogBucketIsShared(t *testing.T) {
	t.Parallel()
	for roles, want := range map[string]bool{"hook,plan,work,report,web": true, "report": true, "web": false, "report,web": false} {
		c := config.Default()
		c.Roles = strings.Split(roles, ",")
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
		if err := checkLogs(c); (err == nil) != want {
			t.Errorf("%s: got %v", roles, err)
		}
		c.Logs.Bucket = "file:///srv/shared"
		if err := checkLogs(c); err != nil {
			t.Errorf("%s with a bucket: got %v", roles, err)
		}
	}
}

// TestLogsAreKeptInTheDataFolder ends a log in the memory that a daemon has, in a folder whose name is hard to write as a URL.
func TestLogsAreKeptInTheDataFolder(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Data = filepath.Join(t.TempDir(), "data ? 100%")
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	m := metrics.NewQueue(prometheus.NewRegistry(), "plan", "work", "report", "reap")
	mem, err := memoryIn(redistest.Start(t).Client(), c, leaseTime, m, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	key := logs.Key{Run: "r", Task: "unit", Attempt: 1}
	if err := mem.logs.Append(t.Context(), key, 0, []byte("ok\n")); err != nil {
		t.Fatal(err)
	}
	if err := mem.logs.End(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(c.Data, "logs", "r", "unit.1.log")
	if data, err := os.ReadFile(name); err != nil || string(data) != "ok\n" {
		t.Errorf("got %q, %v, want the log", data, err)
	}
	if info, err := os.Stat(filepath.Join(c.Data, "logs")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v, want a folder that nobody else may read", info.Mode(), err)
	}
}
