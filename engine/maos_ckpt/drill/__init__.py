"""Rehearsed recoveries: real faults in a scratch copy, recovered with the product's own code, timed and verified."""
