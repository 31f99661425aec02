"""MySQL itself: sessions and transactions, statements as text, the database's clock, what a server must guarantee."""
