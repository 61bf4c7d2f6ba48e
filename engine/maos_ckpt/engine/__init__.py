"""The running service: one engine per repository, its schedule, its operations and those who listen."""
