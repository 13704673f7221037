# The run's time is over: what runs is ended and has failed, the rest is passed over.
timeout 1h
check: unit
build: image

new
    unit is queued
    the run is waiting
    -> enqueue unit/1
    -> tell status pending
started unit/1 by w1
    unit is running
    the run is running
    -> tell status running
expired
    unit is canceling (timed out after 1h)
    image is skipped (timed out after 1h)
    the run is canceling (timed out after 1h)
    -> stop unit/1
expired
gone unit/1
    unit is failed (timed out after 1h)
    the run is failed (timed out after 1h)
    -> tell status failed
