# A waiting attempt has no job: a cancel ends it at once, and what comes late is stale.
build: image*2

new
    image is queued
    the run is waiting
    -> enqueue image/1
    -> tell status pending
started image/1 by w1
    image is running
    the run is running
    -> tell status running
ended image/1 failure 1
    image is waiting (backoff of 10s after attempt 1: failure)
    -> enqueue image/2
cancel carol
    image is canceled (canceled by carol)
    the run is canceled (canceled by carol)
    -> tell status canceled
due image/2 after 10s
    refused, stale: image/2 due: it is canceled: too late
started image/2 by w1
    refused, stale: start image/2: it is canceled: too late
told canceled
    nothing is outstanding any more
