"""order: ends unpaid orders.

Consumes  CancelOrder (`order`); EventCancelled (`order.events`). Looks for expired orders itself
(the sweep).
Emits     OrderCancelled, OrderExpired.
Must stay true: an order ends once, along the table of moves; a deadline counts by the database's
clock; tickets are given back by inventory, never here.
"""
