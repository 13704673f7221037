# What runs is ended, what waits in line or has not had its turn is over at once.
check, parallel: unit lint
build: image

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
created unit/1 u1
cancel carol
    unit is canceling (canceled by carol)
    lint is canceled (canceled by carol)
    image is canceled (canceled by carol)
    the run is canceling (canceled by carol)
    -> stop unit/1
# The first who asked counts.
cancel bob
# lint was still in line: a worker that leased it before must not start it.
started lint/1 by w2
    refused, stale: start lint/1: it is canceled: too late
gone unit/1
    unit is canceled (canceled by carol)
    the run is canceled (canceled by carol)
    -> tell status canceled
gone unit/1
told canceled
    nothing is outstanding any more
cancel carol
