"""The soak: a steady, mixed load for an hour, everything sampled meanwhile, and a verdict whether it stayed flat.

`shoppers` is the load (`cohorts` checks what its buyers were told), `visit` what one of them does, `audience` hears
webhooks and reports rates, `sampling` reads processes and servers, `trends` judges, `telling` words the result, `soak`
is the command. Must stay true: loopback only, a bounded rate, and nothing in production imports it.
"""
