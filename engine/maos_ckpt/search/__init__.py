"""Finding text in the records of many checkpoints."""
