"""Durations as counts in buckets of constant relative width, so that two sets of them add up exactly.

Whole microseconds and integer counts: the order in which durations were counted, and where the journal was cut between,
cannot show. A bucket is 1/64 of its power of two wide; what is read out of it is off by half of that at most.
"""

from __future__ import annotations

import math

import msgspec

#: Longer durations count as this long.
DURATION_S_MAX = 1e7
_FINE_BITS = 6


class Distribution(msgspec.Struct, omit_defaults=True):
    """Durations: how many, their sum, and how many in each bucket."""

    count: int = 0
    sum_us: int = 0
    buckets: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        """Count one duration, at least 0."""
        us = round(min(max(seconds, 0.0), DURATION_S_MAX) * 1_000_000)
        self.count += 1
        self.sum_us += us
        bucket = _bucket(us)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def merge(self, other: Distribution) -> None:
        """Add all that another one has counted."""
        self.count += other.count
        self.sum_us += other.sum_us
        for bucket, number in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + number

    @property
    def average_s(self) -> float | None:
        """The mean, or None."""
        return round(self.sum_us / self.count / 1_000_000, 6) if self.count else None

    def percentile_s(self, share: float) -> float | None:
        """The duration that `share` of all do not exceed, by nearest rank; None where there are none."""
        rank, seen = max(1, math.ceil(share * self.count)), 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return round(_middle_us(bucket) / 1_000_000, 6)
        return None

    def within(self, bound_s: float) -> int:
        """How many lie in buckets whose middle is at most `bound_s`."""
        bound_us = bound_s * 1_000_000
        return sum(number for bucket, number in self.buckets.items() if _middle_us(bucket) <= bound_us)


def _bucket(us: int) -> int:
    shift = max(us.bit_length() - _FINE_BITS - 1, 0)
    return (shift << _FINE_BITS) + (us >> shift)


def _middle_us(bucket: int) -> float:
    # From 64 on, the upper part of a bucket's number is one more than its shift.
    shift = max((bucket >> _FINE_BITS) - 1, 0)
    first = (bucket - (shift << _FINE_BITS)) << shift
    return first + ((1 << shift) - 1) / 2
