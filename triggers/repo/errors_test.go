package repo_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/millrace-ci/millrace/triggers"
	"github.com/millrace-ci/millrace/triggers/repo"
)

func TestPermanentErrors(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		repo.ErrUnsupported: true, repo.ErrTooLarge: true, repo.ErrHostile: true, repo.ErrNotFound: false, repo.ErrDenied: false,
	} {
		wrapped := fmt.Errorf("read definitions: %w", err)
		if got := errors.Is(wrapped, triggers.ErrPermanent); got != want || !errors.Is(wrapped, err) {
			t.Errorf("%v: permanent is %v, want %v", err, got, want)
		}
	}
}
