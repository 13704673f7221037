# At most two wait: when a third one comes, that which waits longest is canceled. What runs is left alone.
max_queue: 2

arrives a
    a may start
arrives b
    b waits for earlier runs in lane main: number 1, behind a
arrives c
    b waits for earlier runs in lane main: number 1, behind a
    c waits for earlier runs in lane main: number 2, behind b
arrives d
    b is canceled (made room for run d: at most 2 wait in lane main)
    c waits for earlier runs in lane main: number 1, behind a
    d waits for earlier runs in lane main: number 2, behind c
arrives e
    c is canceled (made room for run e: at most 2 wait in lane main)
    d waits for earlier runs in lane main: number 1, behind a
    e waits for earlier runs in lane main: number 2, behind d
