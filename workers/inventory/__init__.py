"""inventory: owns everything that moves stock.

Consumes  PlaceOrder, AddItems, the event and ticket-type commands (`inventory.{shard}`); OrderCancelled, OrderExpired
          (`inventory.{shard}.returns`, taken first). The shards are shared among the inventory processes by leases.
          One of them gives back what lost its event (`overdue.py`).
Emits     OrderPlaced, OrderItemsAdded, StockChanged, EventChanged, EventCancelled.
Must stay true: quota = available + held + sold + releasing, at every commit; first come, first
served; an order gets all its items or none; tickets come back once.
"""
