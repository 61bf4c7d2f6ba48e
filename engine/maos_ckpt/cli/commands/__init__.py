"""The commands; each takes a `Context` and returns an exit code."""
