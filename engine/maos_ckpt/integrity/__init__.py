"""Stored objects against what they should be, tier by tier: found, repaired from the other tier, looked at in turn."""
