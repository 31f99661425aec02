"""Copies that spare the database: short-lived ones in this process, the event list in Redis."""
