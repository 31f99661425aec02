"""relay: keeps messages moving.

Consumes  the outbox table; the queue `dead` (written to the table `dead_letters`).
Emits     every event, on `eventhub.events`; what gateways like to hear soon on the broadcast, unconfirmed.
Forgets   what is over (`db.retention`).
Must stay true: an event leaves the outbox only after the broker confirmed it; the events of an
aggregate are published in order, each after the one before it was confirmed.
"""
