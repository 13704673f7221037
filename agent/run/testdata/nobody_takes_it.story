# Its runner was taken out of the configuration: the run does not wait for ever.
build: image pack

new
    image is queued
    the run is waiting
    -> enqueue image/1
    -> tell status pending
told pending
expired
    image is failed (not started within 24h: no worker of its runner took it)
    pack is skipped (not started within 24h: no worker of its runner took it)
    the run is failed (not started within 24h: no worker of its runner took it)
    -> tell status failed
told failed
    nothing is outstanding any more
