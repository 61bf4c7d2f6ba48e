"""Which checkpoint to go back to, and why."""
