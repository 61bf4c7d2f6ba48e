"""Which codec a new chunk gets: measured, not guessed.

For each collection the policy tries every candidate on one of its first chunks and keeps, per candidate, the ratio
(raw / stored) and the speed of one thread. From then on it takes the candidate of the best ratio that still lets the
rest of the save end inside its deadline, and goes on measuring the one in use. A collection that nothing shrinks is
stored as it is. Now and then a chunk is tried on every candidate again: what was passed over once, or shrank nothing,
is not passed over for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

from maos_ckpt.codec.compression import LEVELS, Codec, compress
from maos_ckpt.seams import Clock

#: Share of the save deadline that compression may plan with; the rest is for the cut, hashing, checking and the disk.
DEADLINE_SHARE = 0.4
#: Below this ratio a codec is not worth its time.
RATIO_MIN = 1.05
#: A candidate must be this much denser than a faster one to be taken for it.
RATIO_GAIN_MIN = 1.03
#: Trials are made on at most this many bytes of a chunk, so that slow candidates cost milliseconds.
TRIAL_BYTES_MAX = 128 << 10
#: One chunk in so many is tried on all candidates again, …
RETRIAL_CHUNKS = 32
#: … unless the save has more bytes than this before it: then only where a collection is stored as it is.
_RETRIAL_BYTES_MAX = 32 << 20
_SMOOTHING = 0.2
#: Collections measured; beyond it, new ones share one entry.
_LABELS_MAX = 512


@dataclass(slots=True)
class Measure:
    """What one candidate lately gave on one collection."""

    ratio: float
    bytes_per_s: float


#: Collection → candidate → what it gave.
Measures = dict[str, dict[tuple[Codec, int], Measure]]


@dataclass(frozen=True, slots=True)
class CodecSettings:
    """`codec` None chooses by measurement; `level` is the zstd level not to exceed, or the fixed codec's level.

    `hasty`: MAOS stands still meanwhile, so that deltas are copied where that is possible, although they get larger.
    """

    codec: Codec | None = None
    level: int = 6
    deadline_s: float = 5.0
    hasty: bool = False


def candidates(level_max: int) -> list[tuple[Codec, int]]:
    """What the adaptive choice picks from, for a highest zstd level."""
    zstd = [(Codec.ZSTD, level) for level in (1, 3, 6, 12, 19) if level <= max(level_max, 1)]
    return [(Codec.LZ4, 0), *zstd, (Codec.GZIP, 6), (Codec.BROTLI, 5)]


@dataclass(slots=True)
class CodecPolicy:
    """One save's choice of codecs. `expected_bytes` is how much the save may have to compress at most."""

    settings: CodecSettings
    clock: Clock
    expected_bytes: int = 0
    measures: Measures = field(default_factory=dict)
    _seen_bytes: int = 0
    _started_s: float | None = None

    def choose(self, label: str, raw_bytes: int) -> tuple[Codec, int]:
        """The codec and level for the next chunk of a collection."""
        if self.settings.codec is not None:
            low, high, _ = LEVELS[self.settings.codec]
            return self.settings.codec, min(max(self.settings.level, low), high)
        now_s = self.clock.monotonic_s()
        if self._started_s is None:
            self._started_s = now_s
        measures = self.measures.get(label)
        remaining = max(self.expected_bytes - self._seen_bytes, raw_bytes)
        self._seen_bytes += raw_bytes
        left_s = self.settings.deadline_s * DEADLINE_SHARE - (now_s - self._started_s)
        if measures is None:
            return Codec.ZSTD, 1
        return pick(measures, remaining, left_s)

    def compress(self, label: str, codec: Codec, level: int, raw: bytes) -> bytes:
        """`raw` compressed, measured; the first chunk of a collection, and some later ones, try all candidates."""
        started_s = self.clock.monotonic_s()
        payload = compress(codec, level, raw)
        took_s = self.clock.monotonic_s() - started_s
        if self.settings.codec is None:
            self._learn(label, codec, level, raw, payload, took_s)
        return payload

    def _learn(self, label: str, codec: Codec, level: int, raw: bytes, payload: bytes, took_s: float) -> None:
        if label not in self.measures and len(self.measures) >= _LABELS_MAX:
            label = ""
        measures = self.measures.get(label)
        if measures is None:
            trials = {one: self._try(one, raw[:TRIAL_BYTES_MAX]) for one in candidates(self.settings.level)}
            self.measures[label] = trials
        elif self._tries_again(codec, raw):
            for one in candidates(self.settings.level):
                _blend(measures, one, self._try(one, raw[:TRIAL_BYTES_MAX]), len(raw))
        elif codec is not Codec.NONE:
            fresh = Measure(len(raw) / max(len(payload), 1), len(raw) / max(took_s, 1e-6))
            _blend(measures, (codec, level), fresh, len(raw))

    def _tries_again(self, codec: Codec, raw: bytes) -> bool:
        # Told by the chunk itself, so that nothing needs to be counted from one save to the next.
        allowed = codec is Codec.NONE or self.expected_bytes <= _RETRIAL_BYTES_MAX
        return allowed and crc32(raw) % RETRIAL_CHUNKS == 0

    def _try(self, candidate: tuple[Codec, int], raw: bytes) -> Measure:
        started_s = self.clock.monotonic_s()
        payload = compress(*candidate, raw)
        took_s = max(self.clock.monotonic_s() - started_s, 1e-6)
        return Measure(len(raw) / max(len(payload), 1), len(raw) / took_s)


def _blend(measures: dict[tuple[Codec, int], Measure], one: tuple[Codec, int], fresh: Measure, raw_bytes: int) -> None:
    """Let a measurement count; one on a small chunk says little of how others will shrink."""
    old = measures.setdefault(one, fresh)
    weight = _SMOOTHING * min(raw_bytes / TRIAL_BYTES_MAX, 1.0)
    old.ratio += (fresh.ratio - old.ratio) * weight
    old.bytes_per_s += (fresh.bytes_per_s - old.bytes_per_s) * weight


def pick(measures: dict[tuple[Codec, int], Measure], remaining_bytes: int, left_s: float) -> tuple[Codec, int]:
    """The densest candidate that is through with `remaining_bytes` in `left_s`, else the fastest.

    Candidates are taken from fast to slow, and a slower one must pay for itself by `RATIO_GAIN_MIN`.
    """
    by_speed = sorted(measures.items(), key=lambda item: -item[1].bytes_per_s)
    if not by_speed or max(measure.ratio for _, measure in by_speed) < RATIO_MIN:
        return Codec.NONE, 0
    best, best_ratio = by_speed[0][0], by_speed[0][1].ratio
    for candidate, measure in by_speed[1:]:
        needed_s = remaining_bytes / measure.bytes_per_s
        if needed_s <= left_s and measure.ratio >= best_ratio * RATIO_GAIN_MIN:
            best, best_ratio = candidate, measure.ratio
    return best
