"""Content-defined Merkle search trees over sorted records."""
