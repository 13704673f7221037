package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/millrace-ci/millrace/cmd/millrace/config"
)

// logBuckets are the kinds of bucket that this binary knows, by the scheme of their URLs.
func logBuckets() *blob.URLMux {
	mux := &blob.URLMux{}
	mux.RegisterBucket(fileblob.Scheme, &fileblob.URLOpener{Options: fileblob.Options{
		CreateDir: true, DirFileMode: 0o700, NoTempDir: true, Metadata: fileblob.MetadataDontWrite,
	}})
	mux.RegisterBucket(memblob.Scheme, &memblob.URLOpener{})
	return mux
}

// checkLogs checks that logs.bucket is one that this binary has.
func checkLogs(c *config.Config) error {
	u, err := url.Parse(c.Logs.Bucket)
	mux := logBuckets()
	switch has := func(role string) bool { return slices.Contains(c.Roles, role) }; {
	case err != nil:
		return fmt.Errorf("logs.bucket: %q is no URL, like file:///srv/millrace/logs", c.Logs.Bucket)
	case !mux.ValidBucketScheme(u.Scheme):
		return fmt.Errorf("logs.bucket: this millrace has buckets of the kinds %s://, and %q is none of them", strings.Join(mux.BucketSchemes(), "://, "), c.Logs.Bucket)
	case u.Scheme == fileblob.Scheme && (strings.Trim(u.Path, "/") == "" || u.Host != "" && u.Host != "." && u.Host != "localhost"):
		return fmt.Errorf("logs.bucket: %q names no folder: write file:///srv/millrace/logs, or file://./logs for one below the working folder", c.Logs.Bucket)
	case c.Logs.Bucket == c.OwnLogs() && has("web") && !has("work"):
		return errors.New("logs.bucket: this agent shows logs that others write: name the bucket that all of them share")
	}
	return nil
}

// openLogs opens the bucket of logs.
func openLogs(c *config.Config) (*blob.Bucket, error) {
	bucket, err := logBuckets().OpenBucket(context.Background(), c.Logs.Bucket) // these ask nobody
	if err != nil {
		return nil, fmt.Errorf("logs.bucket: %w", err)
	}
	return bucket, nil
}
