# The two newest are left alone.
when_full: cancel_running
limit: 2

arrives a
    a may start
started a
arrives b
    b may start
started b
arrives c
    a is canceling (superseded by run c)
    c waits for earlier runs in lane main: number 1, behind b
gone a
    c may start
