# Pushes to one branch run one after another, in the order in which they came.
when_full: queue

arrives a
    a may start
arrives b
    b waits for earlier runs in lane main: number 1, behind a
arrives c
    b waits for earlier runs in lane main: number 1, behind a
    c waits for earlier runs in lane main: number 2, behind b
started a
    b waits for earlier runs in lane main: number 1, behind a
    c waits for earlier runs in lane main: number 2, behind b
succeeded a
    b may start
    c waits for earlier runs in lane main: number 1, behind b
# A person cancels a run that waits: it is over at once, and nobody else moves.
arrives d
    c waits for earlier runs in lane main: number 1, behind b
    d waits for earlier runs in lane main: number 2, behind c
cancel c
    d waits for earlier runs in lane main: number 1, behind b
started b
    d waits for earlier runs in lane main: number 1, behind b
succeeded b
    d may start
