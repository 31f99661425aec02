"""Events and ticket types through their commands, on real servers."""
