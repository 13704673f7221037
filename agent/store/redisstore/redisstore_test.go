package redisstore_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/agent/store/redisstore"
	"github.com/millrace-ci/millrace/agent/store/storetest"
	"github.com/millrace-ci/millrace/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLaws(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) (here, there storetest.Store) {
		server := redistest.Start(t)
		return redisstore.New(server.Client(), redisstore.Config{}), redisstore.New(server.Client(), redisstore.Config{})
	})
}
