"""The remote copy of a repository kept up: checkpoints pushed, a lost home brought back, what nobody needs removed."""
