"""The gateway as its clients and attackers meet it."""
