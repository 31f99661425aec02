"""What each kind of process may do to the database, and the accounts that may do it."""
