"""What integration tests stand on: scratch servers, EventHub in this process or in processes of its own, accounts."""
