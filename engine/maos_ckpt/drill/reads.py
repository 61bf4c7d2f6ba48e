"""What a scenario reads of stored objects, by tier, counted where it is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from maos_ckpt.backends.read_only import ReadOnlyBackend
from maos_ckpt.backends.retrying import RetryingBackend
from maos_ckpt.model import LOCAL_TIER, REMOTE_TIER, TierRead
from maos_ckpt.repository.repository import Repository


@dataclass(slots=True)
class Reads:
    """Stored objects and bytes that a scenario read, by tier."""

    objects: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def add(self, repository: Repository) -> None:
        """Count what was read through a repository that is about to be closed."""
        local = repository.reader.bytes_read[LOCAL_TIER]
        if local:
            self._add(LOCAL_TIER, len(repository.backend.list("packs")), local)
        if repository.remote is None:
            return
        backend = repository.remote.uncached if repository.remote.connected else None
        inner = backend.inner if isinstance(backend, RetryingBackend) else None
        if isinstance(inner, ReadOnlyBackend):
            self._add(REMOTE_TIER, inner.objects_read, inner.bytes_read)

    def _add(self, tier: str, objects: int, size: int) -> None:
        self.objects[tier] = self.objects.get(tier, 0) + objects
        self.bytes[tier] = self.bytes.get(tier, 0) + size

    def tiers(self) -> tuple[TierRead, ...]:
        """As a report shows them; a scratch copy begins with an empty cache, so nothing came from one."""
        return tuple(TierRead(one, self.objects[one], self.bytes[one], cache_bypassed=True) for one in self.bytes)
