"""How small the stored form is: by compression, by storing nothing twice, and altogether."""

from __future__ import annotations

from collections.abc import Iterable

from maos_ckpt.model import Checkpoint, Ratios
from maos_ckpt.repository.repository import Repository


def ratios(repository: Repository, checkpoints: Iterable[Checkpoint]) -> Ratios:
    """The ratios over these checkpoints, which are all that there are.

    Reads the chunk index and no chunk, and takes no memory that grows with either; asks nobody. Chunks count that are
    stored, those included that only await the next prune, and packs that lie in the remote copy alone.
    """
    plain_bytes, payload_bytes = repository.index.totals()
    logical_bytes = sum(one.logical_bytes for one in checkpoints)
    stored_bytes = sum(repository.packs().values()) + sum(repository.backend.list("manifests").values())
    return Ratios(
        codec=_ratio(plain_bytes, payload_bytes),
        dedup=_ratio(logical_bytes, plain_bytes),
        whole=_ratio(logical_bytes, stored_bytes),
    )


def _ratio(of: int, to: int) -> float | None:
    return round(of / to, 3) if of and to else None
