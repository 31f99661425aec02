"""What webhooks are told, where they may be, what signs for us."""
