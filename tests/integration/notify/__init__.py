"""The notify worker and the webhook calls, with receivers that answer as they are told."""
