# Two at a time.
limit: 2

arrives a
    a may start
arrives b
    b may start
arrives c
    c waits for earlier runs in lane main: number 1, behind b
arrives d
    c waits for earlier runs in lane main: number 1, behind b
    d waits for earlier runs in lane main: number 2, behind c
started b
    c waits for earlier runs in lane main: number 1, behind b
    d waits for earlier runs in lane main: number 2, behind c
succeeded b
    c may start
    d waits for earlier runs in lane main: number 1, behind c
started a
    d waits for earlier runs in lane main: number 1, behind c
succeeded a
    d may start
