"""How messages travel: the link to the broker, the envelope and its signature, the publisher, the topology."""
