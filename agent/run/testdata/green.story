# Two stages: both checks at once, then the image. All is well.
check, parallel: unit lint
build: image

new
    unit is queued
    lint is queued
    the run is waiting
    -> enqueue unit/1
    -> enqueue lint/1
    -> tell status pending
told pending
started unit/1 by w1
    unit is running
    the run is running
    -> tell status running
created unit/1 u1
told running
started lint/1 by w2
    lint is running
created lint/1 u2
ended unit/1 succeeded 0
    unit is succeeded
ended lint/1 succeeded 0
    lint is succeeded
    image is queued
    -> enqueue image/1
started image/1 by w1
    image is running
created image/1 u3
ended image/1 succeeded 0
    image is succeeded
    the run is succeeded
    -> tell status succeeded
told succeeded
    nothing is outstanding any more
