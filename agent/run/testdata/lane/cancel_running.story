# A newer push to a request ends what the older one started, and starts when that is gone.
when_full: cancel_running

arrives a
    a may start
started a
arrives b
    a is canceling (superseded by run b)
    b waits for earlier runs in lane main: number 1, behind a
# The ones between never run.
arrives c
    b is canceled (superseded by run c)
    c waits for earlier runs in lane main: number 1, behind a
gone a
    c may start
