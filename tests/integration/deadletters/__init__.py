"""From the queue `dead` into the table, and what an operator does with it."""
