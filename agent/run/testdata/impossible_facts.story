# What cannot be true changes nothing.
build: image pack

new
    image is queued
    the run is waiting
    -> enqueue image/1
    -> tell status pending
started image/2 by w1
    refused, impossible: no attempt 2 of image: cannot be
started pack/1 by w1
    refused, impossible: no attempt 1 of pack: cannot be
started nobody/1 by w1
    refused, impossible: no task "nobody": cannot be
ended image/1 succeeded 0
    refused, impossible: image/1 is queued, not to be "ended, succeeded": cannot be
created image/1 u1
    refused, impossible: job of image/1: it is queued: cannot be
