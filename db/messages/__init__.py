"""What keeps messages moving, in SQL: outcomes of commands, the outbox, dead letters, leases."""
