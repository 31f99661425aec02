"""The ticket: what it is and may become, its code and the keys behind it, what happens to it at the door."""
