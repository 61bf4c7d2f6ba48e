"""The engine inside a Python program: checkpoints of its objects, and recovery of them."""
