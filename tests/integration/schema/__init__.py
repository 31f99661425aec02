"""Migrations and start-up checks on a real database server."""
