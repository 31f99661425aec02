"""Accounts over HTTP: sign-in, access tokens, passwords, administration."""
