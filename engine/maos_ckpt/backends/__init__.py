"""Names to bytes: where stored objects live."""
