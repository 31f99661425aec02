"""Commands over HTTP on real servers: waits, keys, sold-out answers, and what happens when a server goes away."""
