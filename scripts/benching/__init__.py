"""Load on a local EventHub, and what it costs: `scripts/bench`, `scripts/users`, `scripts/demo`.

Must stay true: every load goes to this machine's loopback address, is bounded in time and count, and ends by itself;
only processes that were started here are ended; every figure is measured in the run that reports it.

`benches` holds one module per kind of run, `loads` what asks the system for something, `measurement` what is read
meanwhile, `systems` where it happens, `baselines` and `lower_bounds` what the figures are compared with; `bench` and
`demo` are the commands. `loads`, `measurement` and `systems` never import the others.
"""
