"""Tickets, the keys of their codes, gates and scans: all their SQL."""
