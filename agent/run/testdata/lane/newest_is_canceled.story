# A person cancels the newest: it ends nobody any more, and what it has ended stays ended.
when_full: cancel_running

arrives a
    a may start
started a
arrives b
    a is canceling (superseded by run b)
    b waits for earlier runs in lane main: number 1, behind a
cancel b
gone a
arrives c
    c may start
