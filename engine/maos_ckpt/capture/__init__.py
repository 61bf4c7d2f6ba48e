"""From a cut to a committed checkpoint."""
