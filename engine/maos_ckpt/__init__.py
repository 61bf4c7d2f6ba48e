"""maos-ckpt: checkpoints and recovery for MAOS. Importing this package loads nothing beyond the standard library."""

__version__ = "0.1.0"
