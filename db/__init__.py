"""What EventHub remembers: MySQL (the truth) and Redis (speed). One module per aggregate holds all its SQL.

Imports `contracts` only. Nothing here connects at import: connections are born in a process's `__main__`.
"""
