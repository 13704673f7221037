# A task sends outputs while it runs; its end says what becomes of them: nothing here. Later they are too late.
build: image push

new
    image is queued
    the run is waiting
    -> enqueue image/1
    -> tell status pending
wrote image/1 A=early
    refused, impossible: outputs of image/1: it is queued: cannot be
started image/1 by w1
    image is running
    the run is running
    -> tell status running
wrote image/1 A=1
    image has the outputs map[A:1]
wrote image/1 B=2
    image has the outputs map[A:1 B:2]
wrote push/1 A=3
    refused, impossible: no attempt 1 of push: cannot be
ended image/1 succeeded 0
    image is succeeded
    image has the outputs map[]
    push is queued
    -> enqueue push/1
wrote image/1 C=4
    refused, stale: outputs of image/1: it is succeeded: too late
