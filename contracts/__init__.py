"""What the processes of EventHub say to each other, and how it travels.

Every message model, the envelope it travels in, the queues it travels on and the settings that every
process reads. This package imports nothing else of EventHub: `db`, `gateway` and `workers` stand on it.
"""
