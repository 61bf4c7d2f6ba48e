"""Metrics: folded from the journal, reported over a window of time, and told to Prometheus."""
