"""Set-up: from a bare machine to a running EventHub, and back.

In: the environment (EVENTHUB_*, MYSQL_URL, AMQP_URL, AMQP_MANAGEMENT_URL, REDIS_URL) and command
lines. Out: private servers and EventHub's processes under one supervisord, and a folder of state.
Must stay true: this package needs only the standard library (it runs before anything is
installed); all state of one system lies in its home folder; two homes never share a port; only
processes that a home started are ever stopped; no secret is world-readable or in an argument list.

`bootstrap` installs and starts a command of `commands`, `home` remembers. `private_servers` says how
MySQL, RabbitMQ and Redis run and when they are ready, `supervised` says it for EventHub's own
processes, and starts and stops them all.
"""
