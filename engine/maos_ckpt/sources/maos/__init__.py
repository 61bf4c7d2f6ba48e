"""A MAOS working directory: its database, its agents' transcripts, and the files beside them."""
