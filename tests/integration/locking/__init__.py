"""Every deadlock that the locking rules avoid: the wrong order dies of it, ours does not."""
