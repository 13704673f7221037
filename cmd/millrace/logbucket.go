package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
)

// LogsConfig is where the logs of what has ended are kept.
type LogsConfig struct {
	Bucket string `mapstructure:"bucket"` // URL; "": the folder logs in Data
}

// logBuckets are the kinds of bucket that this binary knows, by the scheme of their URLs.
func logBuckets() *blob.URLMux {
	mux := &blob.URLMux{}
	mux.RegisterBucket(fileblob.Scheme, &fileblob.URLOpener{Options: fileblob.Options{
		CreateDir: true, DirFileMode: 0o700, NoTempDir: true, Metadata: fileblob.MetadataDontWrite,
	}})
	mux.RegisterBucket(memblob.Scheme, &memblob.URLOpener{})
	return mux
}

// ownLogs is the bucket of an agent for which none is named.
func (c *Config) ownLogs() string {
	return (&url.URL{Scheme: fileblob.Scheme, Path: filepath.ToSlash(filepath.Join(c.Data, "logs"))}).String()
}

func (c *Config) validateLogs() error {
	u, err := url.Parse(c.Logs.Bucket)
	mux := logBuckets()
	switch has := func(role string) bool { return slices.Contains(c.Roles, role) }; {
	case err != nil:
		return fmt.Errorf("logs.bucket: %q is no URL, like file:///srv/millrace/logs", c.Logs.Bucket)
	case !mux.ValidBucketScheme(u.Scheme):
		return fmt.Errorf("logs.bucket: this millrace has buckets of the kinds %s://, and %q is none of them", strings.Join(mux.BucketSchemes(), "://, "), c.Logs.Bucket)
	case u.Scheme == fileblob.Scheme && (strings.Trim(u.Path, "/") == "" || u.Host != "" && u.Host != "." && u.Host != "localhost"):
		return fmt.Errorf("logs.bucket: %q names no folder: write file:///srv/millrace/logs, or file://./logs for one below the working folder", c.Logs.Bucket)
	case c.Logs.Bucket == c.ownLogs() && has("web") && !has("work"):
		return errors.New("logs.bucket: this agent shows logs that others write: name the bucket that all of them share")
	}
	return nil
}

// openLogs opens the bucket of logs.
func (c *Config) openLogs() (*blob.Bucket, error) {
	bucket, err := logBuckets().OpenBucket(context.Background(), c.Logs.Bucket) // these ask nobody
	if err != nil {
		return nil, fmt.Errorf("logs.bucket: %w", err)
	}
	return bucket, nil
}
