"""order: ends unpaid orders; changes tickets at their holders' wish.

Consumes  CancelOrder, TransferTicket, RenameHolder (`order`); EventCancelled (`order.events`). Looks for expired orders
itself (the sweep).
Emits     OrderCancelled, OrderExpired, TicketTransferred.
Must stay true: an order ends once, along the table of moves; a deadline counts by the database's
clock; tickets are given back by inventory, never here.
"""
