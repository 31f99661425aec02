"""Where decisions are made. One sub-package per worker; the road they share stands beside them.

    intake.py     messages in: queues of this process, in lanes
    road.py       one message's life: opened, verified, grouped, decided, ended exactly once
    deciding.py   commands -> one transaction -> outcomes
    reacting.py   events -> one transaction (or none)
    handlers.py   what a worker offers to the road
    sweeping.py   jobs that look for what is due
    process.py    start, health, stop

A worker never imports another worker.
"""
