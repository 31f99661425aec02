"""Load on a local EventHub, and what it costs: `scripts/bench`, `scripts/users`, `scripts/demo`.

Must stay true: every load goes to this machine's loopback address, is bounded in time and count, and ends by itself;
only processes that were started here are ended; every figure is measured in the run that reports it.
"""
