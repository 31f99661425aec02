"""A reference gate: what a device at the door does, with a network and without one.

    offline.py   what a code is worth by a bundle alone                     (pure)
    memory.py    one SQLite file: what was scanned, what is known
    client.py    EventHub over HTTP, as a gate sees it
    gate.py      the gate: ask, decide alone, tell later
    main.py      `scripts/gate`: a keyboard, or a scanner that types
    verify.py    `scripts/verify-ticket`: one code against the public keys

It knows the public format of codes and bundles (docs/tickets.md) and nothing of EventHub's inside.
"""
