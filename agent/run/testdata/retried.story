# The author allows two retries. A second attempt follows after a backoff, and is due not before.
check: unit*2

new
    unit is queued
    the run is waiting
    -> enqueue unit/1
    -> tell status pending
started unit/1 by w1
    unit is running
    the run is running
    -> tell status running
created unit/1 u1
ended unit/1 failure 2
    unit is waiting (backoff of 10s after attempt 1: failure)
    -> enqueue unit/2
ended unit/1 failure 2
ended unit/1 succeeded 0
    refused, stale: attempt 1 of unit: 2 is the present one: too late
due unit/2 after 1s
    refused, impossible: unit/2 due: it waits until 2026-11-23T09:00:13Z: cannot be
due unit/2 after 10s
    unit is queued (backoff of 10s after attempt 1: failure)
due unit/2 after 10s
started unit/2 by w2
    unit is running
created unit/2 u2
ended unit/2 failure 2
    unit is waiting (backoff of 20s after attempt 2: failure)
    -> enqueue unit/3
due unit/3 after 20s
    unit is queued (backoff of 20s after attempt 2: failure)
started unit/3 by w2
    unit is running
ended unit/3 failure 3
    unit is failed
    the run is failed (unit failed)
    -> tell status failed
told failed
    nothing is outstanding any more
