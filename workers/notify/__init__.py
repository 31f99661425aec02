"""notify: tells what happened, to the log and to those who asked to hear of it.

Consumes  every event (`notify`, one consumer at a time, so that order survives).
Emits     nothing on the broker; log lines, and signed webhooks over HTTP.

    handlers.py    an event -> deliveries written down, one log line
    audience.py    who may hear which event                                  (pure)
    delivery.py    the sender: due deliveries, lane by lane
    turns.py       whose turn it is within an order                          (pure)
    lanes.py       one endpoint in memory: how much at once, when left alone (pure)
    schedule.py    what follows from an answer; all numbers                  (pure)
    sending.py     one signed POST, to a checked address
    recording.py   how attempts ended, back into the database
    ownership.py   which endpoints are this worker's

Must stay true: an event reaches an endpoint at least once or is tried for three days, always under one `webhook-id`;
nobody hears what the HTTP contract would not show them; a receiver that is dead, slow or hostile harms no other.
"""
