"""HTTP comes in, commands go out: the gateway authenticates, parses, reads and publishes.

It may refuse early what a worker would refuse; it never decides.

`python -m gateway` runs it. `routes.py` is the one table of everything it answers; each resource has one file.
Must stay true: no route without an entry in the table; no answer that is not the contract's.
"""
