"""What Redis holds for speed, and never as the truth: seat locks, pushed outcomes, the copy of the rates."""
