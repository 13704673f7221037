# Who finds the lane full is canceled at once; who finds room runs.
when_full: drop

arrives a
    a may start
arrives b
    b is canceled (lane main was full: run a was before it)
started a
succeeded a
arrives c
    c may start
