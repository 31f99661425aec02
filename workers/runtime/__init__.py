"""The consumer that all workers share: intake, processing, deciding, reacting, acknowledging, sweeps, health."""
