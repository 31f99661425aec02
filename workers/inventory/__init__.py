"""inventory: owns everything that moves stock.

Consumes  PlaceOrder, AddItems (`inventory.{shard}`); the event and ticket-type commands (`catalogue`) and
          OrderCancelled, OrderExpired (`inventory.{shard}.returns`), both taken first. The shards are shared among the
          inventory processes by leases. One of them gives back what lost its event (`overdue.py`).
Emits     OrderPlaced, OrderItemsAdded, StockChanged, EventChanged, EventCancelled; of what costs nothing
          OrderConfirmed, TicketsIssued.
Must stay true: quota = available + held + sold + releasing, at every commit; first come, first
served; an order gets all its items or none; tickets come back once.
"""
