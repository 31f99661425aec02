"""Tests of EventHub: `unit` (pure, milliseconds), `integration` (real servers), `setup`, `structure`, `bench`."""
