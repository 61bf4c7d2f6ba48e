"""Bytes to bytes: record encoding and compression."""
