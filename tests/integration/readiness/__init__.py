"""Ready means that the work would be done: self-tests, rates, messages that all fail."""
