"""Parts of the console's screens; all of them draw lines of (text, tone) pairs and nothing else."""
