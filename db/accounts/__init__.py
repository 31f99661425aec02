"""Accounts in SQL: who exists, who may do what, whose tokens are good, who reports rates."""
