package memstore_test

import (
	"testing"

	"github.com/millrace-ci/millrace/agent/store"
	"github.com/millrace-ci/millrace/agent/store/memstore"
	"github.com/millrace-ci/millrace/agent/store/storetest"
)

func TestRefsLaws(t *testing.T) {
	t.Parallel()
	storetest.RunRefs(t, func(*testing.T) (here, there store.Refs) {
		r := memstore.NewRefs()
		return r, r
	})
}
