# w1 is killed, or sleeps past its lease. w2 joins the same job and answers; then w1 wakes up and answers too.
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
# w2 gets the item, and joins: no error, and no second job can be told of.
started image/1 by w2
created image/1 u1
created image/1 u9
    refused, impossible: job of image/1 is u1, and now also u9: cannot be
ended image/1 succeeded 0
    image is succeeded
    the run is succeeded
    -> tell status succeeded
# Too late, and otherwise: refused. The same answer again: nothing.
ended image/1 lost -1
    refused, stale: end of image/1: it is succeeded: too late
ended image/1 succeeded 0
started image/1 by w1
    refused, stale: start image/1: it is succeeded: too late
