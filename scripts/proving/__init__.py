"""Proving the promise: faults, a history of what clients were told, and a checker that holds it against the database.

`history` and `checking` say what a client was told and whether it is true, `calling` and `buyers` are the load client
that writes it, `proxy` and `wires` break connections at a chosen packet, `report` prints, `prove` is
the command. Must stay true: nothing here runs in production, and nothing in production imports it.
"""
