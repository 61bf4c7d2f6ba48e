"""Plan, apply, verify, undo."""
