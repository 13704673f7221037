# An event that happened before that of the running run, and comes after it, ends nothing: it is superseded itself.
when_full: cancel_running

arrives b
    b may start
started b
arrives a, happened before b
    a is canceled (superseded by run b)
# So does one that comes while others wait for the running one to be gone.
arrives d
    b is canceling (superseded by run d)
    d waits for earlier runs in lane main: number 1, behind b
arrives c, happened before d
    c is canceled (superseded by run d)
    d waits for earlier runs in lane main: number 1, behind b
gone b
    d may start
