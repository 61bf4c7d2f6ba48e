"""Adapters to places where state lives."""
