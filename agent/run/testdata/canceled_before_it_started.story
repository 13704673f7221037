# Nothing runs yet, so nothing is to be ended.
build: image

new
    image is queued
    the run is waiting
    -> enqueue image/1
    -> tell status pending
cancel carol
    image is canceled (canceled by carol)
    the run is canceled (canceled by carol)
    -> tell status canceled
told canceled
    nothing is outstanding any more
