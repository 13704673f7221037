# The forge refuses for good: the run says so, and is settled.
build: image

new
    image is queued
    the run is waiting
    -> enqueue image/1
    -> tell status pending
told pending
started image/1 by w1
    image is running
    the run is running
    -> tell status running
ended image/1 succeeded 0
    image is succeeded
    the run is succeeded
    -> tell status succeeded
told succeeded: the token may not write statuses
    nothing is outstanding any more
