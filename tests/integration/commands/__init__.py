"""Commands over HTTP on real servers: waits, keys, the door, and what happens when a server goes away."""
