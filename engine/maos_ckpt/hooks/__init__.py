"""Telling others of events: a webhook, a program of the operator's, and a heartbeat."""
