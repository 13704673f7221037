package repo

import "runtime"

// AwaitWaiting returns when n callers wait for one reading: nothing signals that somebody has begun to wait.
func AwaitWaiting(r *Reader, url, commit string, n int) {
	for {
		r.flights.mu.Lock()
		f := r.flights.m[key{url, commit}]
		ready := f != nil && f.waiting == n
		r.flights.mu.Unlock()
		if ready {
			return
		}
		runtime.Gosched()
	}
}
