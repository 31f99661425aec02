"""The audit finds what it is there to find, and nothing else."""
