package bloblogs_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/millrace-ci/millrace/agent/logs"
	"github.com/millrace-ci/millrace/agent/logs/bloblogs"
	"github.com/millrace-ci/millrace/agent/logs/logstest"
	"github.com/millrace-ci/millrace/agent/logs/redislogs"
	"github.com/millrace-ci/millrace/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	maxSize = 7 << 20 // more than the stream holds
	maxWait = 30 * time.Second
)

func TestLawsInFiles(t *testing.T) {
	t.Parallel()
	logstest.Run(t, maxSize, func(t *testing.T) logs.Logs { return bloblogs.New(live(t), files(t, t.TempDir())) })
}

func TestLawsInMemory(t *testing.T) {
	t.Parallel()
	logstest.Run(t, maxSize, func(t *testing.T) logs.Logs { return bloblogs.New(live(t), memory(t)) })
}

// TestLawsInSmallParts keeps the laws where nearly everything moves.
func TestLawsInSmallParts(t *testing.T) {
	t.Parallel()
	logstest.Run(t, maxSize, func(t *testing.T) logs.Logs { return bloblogs.InParts(live(t), memory(t), 70_001) })
}

func TestLawsInTheCloud(t *testing.T) {
	t.Parallel()
	logstest.Run(t, maxSize, func(t *testing.T) logs.Logs { return bloblogs.InParts(live(t), newCloud().bucket(t, nil), part) })
}

func live(t testing.TB) *redislogs.Logs {
	t.Helper()
	return redislogs.New(redistest.Start(t).Client(), redislogs.Config{MaxSize: maxSize})
}

// files is a bucket in a folder.
func files(t testing.TB, dir string) *blob.Bucket {
	t.Helper()
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{Metadata: fileblob.MetadataDontWrite, NoTempDir: true})
	if err != nil {
		t.Fatal(err)
	}
	return closed(t, bucket)
}

func memory(t testing.TB) *blob.Bucket { return closed(t, memblob.OpenBucket(nil)) }

func closed(t testing.TB, bucket *blob.Bucket) *blob.Bucket {
	t.Cleanup(func() {
		if err := bucket.Close(); err != nil {
			t.Errorf("close bucket: %v", err)
		}
	})
	return bucket
}
