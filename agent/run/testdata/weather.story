# No container ever started: three more attempts are free, whatever the author said. Once one ran only the author's word
# counts, and it allows retries after a failure alone.
build: image*1

new
    image is queued
    the run is waiting
    -> enqueue image/1
    -> tell status pending
started image/1 by w1
    image is running
    the run is running
    -> tell status running
ended image/1 infrastructure 0
    image is waiting (backoff of 5s after attempt 1: infrastructure)
    -> enqueue image/2
due image/2 after 10s
    image is queued (backoff of 5s after attempt 1: infrastructure)
started image/2 by w1
    image is running
ended image/2 infrastructure 0
    image is waiting (backoff of 10s after attempt 2: infrastructure)
    -> enqueue image/3
due image/3 after 10s
    image is queued (backoff of 10s after attempt 2: infrastructure)
started image/3 by w1
    image is running
ended image/3 infrastructure 0
    image is waiting (backoff of 20s after attempt 3: infrastructure)
    -> enqueue image/4
due image/4 after 30s
    image is queued (backoff of 20s after attempt 3: infrastructure)
started image/4 by w1
    image is running
ended image/4 failure 1 begun
    image is waiting (backoff of 10s after attempt 4: failure)
    -> enqueue image/5
due image/5 after 10s
    image is queued (backoff of 10s after attempt 4: failure)
started image/5 by w1
    image is running
ended image/5 infrastructure 0 begun
    image is failed
    the run is failed (image failed)
    -> tell status failed
told failed
    nothing is outstanding any more
