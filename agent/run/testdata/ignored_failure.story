# lint may fail: it is shown and the run goes on, and succeeds.
check, parallel: unit lint?
build: image

new
    unit is queued
    lint is queued
    the run is waiting
    -> enqueue unit/1
    -> enqueue lint/1
    -> tell status pending
started lint/1 by w1
    lint is running
    the run is running
    -> tell status running
ended lint/1 failure 1
    lint is failed
started unit/1 by w1
    unit is running
ended unit/1 succeeded 0
    unit is succeeded
    image is queued
    -> enqueue image/1
started image/1 by w1
    image is running
ended image/1 succeeded 0
    image is succeeded
    the run is succeeded
    -> tell status succeeded
