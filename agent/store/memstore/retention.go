package memstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-ci/millrace/agent/run"
	"github.com/millrace-ci/millrace/agent/store"
)

// Old keeps the contract.
func (s *Store) Old(_ context.Context, before time.Time, cursor string, limit int) (ids []string, next string, err error) {
	if err := store.CheckCursor(cursor); err != nil {
		return nil, "", err
	}
	return s.from(cursor, limit, func(r run.Run) bool { return store.Place(r) < store.PlaceOf(before) })
}

// Missed keeps the contract: what is kept here was settled by this process.
func (s *Store) Missed(_ context.Context, cursor string, _ int) (next string, err error) {
	return "", store.CheckCursor(cursor)
}

// Uncounted keeps the contract.
func (s *Store) Uncounted(_ context.Context, cursor string, limit int) (ids []string, next string, err error) {
	if err := store.CheckCursor(cursor); err != nil {
		return nil, "", err
	}
	return s.from(cursor, limit, func(r run.Run) bool {
		_, counted := s.bytes[r.Plan.ID]
		return r.Settled() && !counted
	})
}

// Count keeps the contract.
func (s *Store) Count(_ context.Context, r run.Run, elsewhere int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if there, err := s.settled(r); err != nil || !there {
		if err == nil {
			err = store.ErrNotFound
		}
		return fmt.Errorf("count run %s: %w", r.Plan.ID, err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("count run %s: %w", r.Plan.ID, err)
	}
	s.bytes[r.Plan.ID] = int64(len(data)) + elsewhere
	return nil
}

// Over keeps the contract.
func (s *Store) Over(_ context.Context, most int64, limit int) (ids []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := int64(0)
	for _, bytes := range s.bytes {
		total += bytes
	}
	for _, at := range s.order {
		id := store.RunAt(at)
		if bytes, counted := s.bytes[id]; counted && total > most && len(ids) < limit {
			ids, total = append(ids, id), total-bytes
		}
	}
	return ids, nil
}

// Delete keeps the contract.
func (s *Store) Delete(_ context.Context, r run.Run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if there, err := s.settled(r); err != nil || !there {
		if err != nil {
			err = fmt.Errorf("delete run %s: %w", r.Plan.ID, err)
		}
		return err
	}
	delete(s.runs, r.Plan.ID)
	delete(s.bytes, r.Plan.ID)
	s.order = slices.DeleteFunc(s.order, func(at string) bool { return at == store.Place(r) })
	return nil
}

// settled tells whether the run is there, as r is and settled. Callers hold s.mu. Errors: store.ErrUnsettled,
// store.ErrConflict.
func (s *Store) settled(r run.Run) (there bool, err error) {
	now, there := s.runs[r.Plan.ID]
	switch {
	case !r.Settled():
		return there, store.ErrUnsettled
	case there && now.Version != r.Version:
		return there, fmt.Errorf("version %d has become %d: %w", r.Version, now.Version, store.ErrConflict)
	}
	return there, nil
}
