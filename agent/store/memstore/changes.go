package memstore

import "context"

// backlog is how many changes a reader may lag behind before it misses some.
const backlog = 256

// Changes keeps the contract.
func (s *Store) Changes(ctx context.Context) (<-chan string, error) {
	c := make(chan string, backlog)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers[c] = true
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.readers, c)
		close(c)
	})
	return c, nil
}

// tell passes id on to who reads changes. Callers hold s.mu, so nobody else sends.
func (s *Store) tell(id string) {
	for c := range s.readers {
		offer(c, id)
	}
}

// offer sends id if c has room for it. The last place is kept for "": it stands for all that c had no room for, and the
// reader comes to it after everything that it missed. Only one goroutine may offer at a time.
func offer(c chan<- string, id string) {
	if len(c) < cap(c)-1 {
		c <- id
		return
	}
	select {
	case c <- "":
	default: // it is there already
	}
}
