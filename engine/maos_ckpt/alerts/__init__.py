"""Alerts: the conditions, and the book that keeps how they stand."""
