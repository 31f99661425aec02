"""relay: keeps messages moving.

Consumes  the outbox table; the queue `dead` (written to the table `dead_letters`).
Emits     every event, on `eventhub.events`.
Must stay true: an event leaves the outbox only after the broker confirmed it; the events of an
aggregate are published in order, each after the one before it was confirmed.
"""
