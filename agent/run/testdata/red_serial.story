# In a serial stage what stands after a failure does not start.
build: compile link pack

new
    compile is queued
    the run is waiting
    -> enqueue compile/1
    -> tell status pending
started compile/1 by w1
    compile is running
    the run is running
    -> tell status running
ended compile/1 succeeded 0
    compile is succeeded
    link is queued
    -> enqueue link/1
started link/1 by w1
    link is running
ended link/1 failure 1
    link is failed
    pack is skipped (link failed)
    the run is failed (link failed)
    -> tell status failed
