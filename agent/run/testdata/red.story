# A check fails. The other one may end; the next stage is passed over.
check, parallel: unit lint
build: image push

new
    unit is queued
    lint is queued
    the run is waiting
    -> enqueue unit/1
    -> enqueue lint/1
    -> tell status pending
started unit/1 by w1
    unit is running
    the run is running
    -> tell status running
started lint/1 by w2
    lint is running
ended unit/1 failure 2
    unit is failed
ended lint/1 succeeded 0
    lint is succeeded
    image is skipped (unit failed)
    push is skipped (unit failed)
    the run is failed (unit failed)
    -> tell status failed
told failed
    nothing is outstanding any more
