"""A command's way to the broker and its answer's way back."""
