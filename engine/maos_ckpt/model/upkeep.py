"""What keeping the repository small did, and how small it is."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What a prune removed (or would, where `dry_run`) and what it kept; `kept` and `reasons` give for each kept and
    each removed one the reason, by id."""

    removed: tuple[str, ...]
    kept: dict[str, str]
    bytes_freed: int
    dry_run: bool
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CompactResult:
    """What compressing cold packs harder did: how many packs went with how many bytes, the bytes of the one made, which
    may hold only a part of a pack that goes later, and whether there is more to do."""

    packs: int
    bytes_before: int
    bytes_after: int
    more: bool
    duration_s: float


@dataclass(frozen=True, slots=True)
class Ratios:
    """How much smaller the stored form is than what it stands for; None where there is nothing to compare.

    Args:
        codec: plain bytes of the distinct stored chunks by the bytes of their payloads.
        dedup: logical bytes of all checkpoints by the plain bytes of the distinct stored chunks.
        whole: logical bytes of all checkpoints by the bytes of all packs and manifests.
    """

    codec: float | None = None
    dedup: float | None = None
    whole: float | None = None
