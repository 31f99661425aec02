"""The reference gate and verify-ticket, as far as they need no server."""
