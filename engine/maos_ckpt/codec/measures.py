"""A codec policy's measurements in a form that can be kept."""

from __future__ import annotations

from maos_ckpt.codec.compression import Codec
from maos_ckpt.codec.policy import Measure, Measures

#: Collection → (codec, level, ratio, bytes per second) of each candidate.
StoredMeasures = dict[str, list[tuple[int, int, float, float]]]


def pack_measures(measures: Measures) -> StoredMeasures:
    """Measurements as they are kept."""
    return {
        label: [(int(codec), level, one.ratio, one.bytes_per_s) for (codec, level), one in by_candidate.items()]
        for label, by_candidate in measures.items()
    }


def unpack_measures(stored: StoredMeasures) -> Measures:
    """Kept measurements; entries of unknown codecs are passed over."""
    known = {int(codec) for codec in Codec}
    return {
        label: {
            (Codec(codec), level): Measure(ratio, bytes_per_s)
            for codec, level, ratio, bytes_per_s in entries
            if codec in known and bytes_per_s > 0
        }
        for label, entries in stored.items()
    }
