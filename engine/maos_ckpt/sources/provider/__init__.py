"""State that lives as objects in a process: read by calling it, put back by calling it."""
