package memstore_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace-ci/millrace/agent/store/memstore"
	"github.com/millrace-ci/millrace/agent/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLaws(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) (here, there storetest.Store) {
		s := memstore.New()
		return s, s
	})
}
