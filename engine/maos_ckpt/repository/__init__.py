"""The durable home of checkpoints: header, lease, packs, chunk index, manifests."""
