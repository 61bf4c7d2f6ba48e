"""How often somebody may ask: a token bucket for each name."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from maos_ckpt.seams import Clock

#: Names that are remembered; beyond them the one that asked longest ago is forgotten.
NAMES_MAX = 10_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at_s: float


class Rates:
    """At most `per_s` a second on average and `burst` at once, for each name. For one thread: the event loop's."""

    def __init__(self, clock: Clock, per_s: float, burst: float) -> None:
        self._clock = clock
        self._per_s = per_s
        self._burst = burst
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str) -> float:
        """Take one; 0.0, or in how many seconds there will be one. A refusal takes nothing."""
        bucket = self._filled(name)
        if bucket.left < 1:
            return (1 - bucket.left) / self._per_s
        bucket.left -= 1
        return 0.0

    def _filled(self, name: str) -> _Bucket:
        now_s = self._clock.monotonic_s()
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(self._burst, now_s)
            if len(self._buckets) > NAMES_MAX:
                self._buckets.popitem(last=False)
        bucket.left = min(self._burst, bucket.left + (now_s - bucket.at_s) * self._per_s)
        bucket.at_s = now_s
        self._buckets.move_to_end(name)
        return bucket
