"""The door: HTTP in, commands out. Authenticates, parses, reads, publishes; it may refuse early, it never accepts.

`python -m gateway` runs it. `routes.py` is the one table of everything it answers; each resource has one file.
Must stay true: no route without an entry in the table; no answer that is not the contract's.
"""
