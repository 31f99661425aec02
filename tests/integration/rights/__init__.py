"""What the accounts of processes may do, and what they may not."""
