# The job ends by itself before it is stopped: its exit code is kept, the run is canceled all the same.
build: image

new
    image is queued
    the run is waiting
    -> enqueue image/1
    -> tell status pending
started image/1 by w1
    image is running
    the run is running
    -> tell status running
created image/1 u1
cancel carol
    image is canceling (canceled by carol)
    the run is canceling (canceled by carol)
    -> stop image/1
ended image/1 succeeded 0
    image is canceled (canceled by carol)
    the run is canceled (canceled by carol)
    -> tell status canceled
gone image/1
