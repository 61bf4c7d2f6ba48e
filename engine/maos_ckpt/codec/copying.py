"""Deltas that copy: what a chunk has in common with its base, said in zstd's own frame without a compressor.

Most of a changed leaf is its predecessor, byte for byte. A compressor has to take in the whole base before it sees
that, which is nearly all of a delta's cost; comparing the two finds the common runs in a fifth of the time. The result
is an ordinary zstd frame (RFC 8878) whose dictionary is the base, so readers need to know nothing of it: each block
holds the bytes that are new, as they are, and one sequence that copies a run. It is the larger, the more is new.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

#: A chunk with more new bytes than this, or with more runs, is left to the compressor, which makes less of them.
NEW_BYTES_MAX: Final = 8000
_RUNS_MAX: Final = 64
#: Shorter runs are not worth a block.
_RUN_BYTES_MIN: Final = 24
#: What has to be the same for two places to be taken for one, and how far apart they may have moved at first.
_ANCHOR_BYTES: Final = 32
_SHIFT_BYTES: Final = 256
#: How far behind a difference the two are compared to find where they agree again.
_REACH_BYTES: Final = 64 << 10
#: What is the same for so long is no repetition.
_SURE_BYTES: Final = 96
_PIECE_BYTES: Final = 4 << 10
#: Compared as one number, whose lowest or highest bit tells where it differs.
_NUMBER_BYTES: Final = 256

_MAGIC: Final = b"\x28\xb5\x2f\xfd"
#: Frame header: one segment, the content's size in four bytes; no dictionary id, no checksum.
_FRAME: Final = bytes([2 << 6 | 1 << 5])
_BLOCK_BYTES_MAX: Final = 128 << 10
_MATCH_BYTES_MIN: Final = 3
#: One sequence; each of its three codes is the only one of its kind in the block ("RLE mode").
_ONE_SEQUENCE: Final = bytes([1, 0b01_01_01_00])
#: By code: the smallest length, and how many further bits say how much longer it is.
_LITERAL_BITS: Final = (*[0] * 16, 1, 1, 1, 1, 2, 2, 3, 3, 4, *range(6, 17))
_MATCH_BITS: Final = (*[0] * 32, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, *range(7, 17))


def _lengths(first: int, bits: tuple[int, ...]) -> tuple[int, ...]:
    found = [first]
    for one in bits[:-1]:
        found.append(found[-1] + (1 << one))
    return tuple(found)


_LITERAL_LENGTHS: Final = _lengths(0, _LITERAL_BITS)
_MATCH_LENGTHS: Final = _lengths(_MATCH_BYTES_MIN, _MATCH_BITS)

#: A run: where it begins in the chunk and in the base, and its bytes.
Run = tuple[int, int, int]


def copy_delta(raw: bytes, base: bytes) -> bytes | None:
    """`raw` as a zstd frame with `base` as its dictionary (raw content); None where a compressor does better."""
    runs = common_runs(raw, base)
    if runs is None:
        return None
    blocks: list[tuple[int, bytes]] = []
    done = 0
    for at, origin, length in runs:
        new, done = raw[done:at], at + length
        distance = at + len(base) - origin
        while length:
            taken = min(length, _BLOCK_BYTES_MAX - len(new))
            if 0 < length - taken < _MATCH_BYTES_MIN:
                taken -= _MATCH_BYTES_MIN
            blocks.append((2, _copying(new, distance, taken)))
            new, length = b"", length - taken
    if done < len(raw):
        blocks.append((0, raw[done:]))
    parts = [_MAGIC, _FRAME, len(raw).to_bytes(4, "little")]
    for number, (kind, body) in enumerate(blocks, 1):
        parts.append((len(body) << 3 | kind << 1 | (number == len(blocks))).to_bytes(3, "little"))
        parts.append(body)
    return b"".join(parts)


def _copying(new: bytes, distance: int, length: int) -> bytes:
    """A compressed block: new bytes, then `length` of those that lie `distance` back, the base before the chunk."""
    literal_code = bisect_right(_LITERAL_LENGTHS, len(new)) - 1
    match_code = bisect_right(_MATCH_LENGTHS, length) - 1
    # The first three offsets mean earlier ones again.
    offset = distance + 3
    offset_code = offset.bit_length() - 1
    # Read from its last bit on: a mark, then what offset, match and literal length have beyond their codes.
    bits = 1 << offset_code | offset - (1 << offset_code)
    bits = bits << _MATCH_BITS[match_code] | length - _MATCH_LENGTHS[match_code]
    bits = bits << _LITERAL_BITS[literal_code] | len(new) - _LITERAL_LENGTHS[literal_code]
    codes = bytes([literal_code, offset_code, match_code])
    stream = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    return b"".join((_literals_header(len(new)), new, _ONE_SEQUENCE, codes, stream))


def _literals_header(length: int) -> bytes:
    """Of literals as they are."""
    if length < 32:
        return bytes([length << 3])
    if length < 4096:
        return (length << 4 | 1 << 2).to_bytes(2, "little")
    return (length << 4 | 3 << 2).to_bytes(3, "little")


def common_runs(raw: bytes, base: bytes) -> list[Run] | None:
    """Runs of `raw` that stand in `base` too, in the order of both; None where too much is new, or all is in pieces."""
    runs: list[Run] = []
    at = origin = done = new = 0
    while True:
        length = _same(raw, at, base, origin)
        if length >= _RUN_BYTES_MIN:
            new += at - done
            runs.append((at, origin, length))
            done = at + length
        at, origin = at + length, origin + length
        if at - done + new > NEW_BYTES_MAX or len(runs) > _RUNS_MAX:
            return None
        agreed = _agree_again(raw, at, base, origin) if at < len(raw) else None
        if agreed is None:
            return runs if runs and new + len(raw) - done <= NEW_BYTES_MAX else None
        # What precedes the place may be the same as well.
        back = _same_before(raw, agreed[0], base, agreed[1], min(agreed[0] - done, agreed[1]))
        at, origin = agreed[0] - back, agreed[1] - back


def _same(raw: bytes, at: int, base: bytes, origin: int) -> int:
    """How many bytes are the same from here on."""
    limit = min(len(raw) - at, len(base) - origin)
    low, step = 0, _PIECE_BYTES
    while low < limit:
        high = min(low + step, limit)
        there = base[origin + low : origin + high]
        if raw.startswith(there, at + low):
            low = high
        elif high - low > _NUMBER_BYTES:
            # The first difference is in here; it is narrowed down until the rest makes a number of handy size.
            step = (high - low + 1) >> 1
        else:
            here = raw[at + low : at + high]
            differing = int.from_bytes(here, "big") ^ int.from_bytes(there, "big")
            return high - (differing.bit_length() + 7) // 8
    return limit


def _same_before(raw: bytes, at: int, base: bytes, origin: int, limit: int) -> int:
    """How many bytes are the same before here, up to `limit`."""
    found = 0
    while found < limit:
        low = min(found + _NUMBER_BYTES, limit)
        differing = int.from_bytes(raw[at - low : at - found], "big") ^ int.from_bytes(
            base[origin - low : origin - found], "big"
        )
        if differing:
            return found + ((differing & -differing).bit_length() - 1) // 8
        found = low
    return found


def _agree_again(raw: bytes, at: int, base: bytes, origin: int) -> tuple[int, int] | None:
    """Where the two go on as one behind a difference at `at` and `origin`; None where that is not seen."""
    #: By how far the two have moved apart: the first place of that kind.
    first: dict[int, tuple[int, int]] = {}
    best, best_bytes = 0, 0
    skipped, reach = 0, min(_REACH_BYTES, len(base) - origin - _ANCHOR_BYTES)
    while skipped <= reach:
        there = origin + skipped
        # Not looked for everywhere: what is repeated in a leaf must not be taken for what stands much further on.
        end = at + 2 * skipped + _SHIFT_BYTES + _ANCHOR_BYTES
        found = raw.find(base[there : there + _ANCHOR_BYTES], at, end)
        if found >= 0 and found - there not in first:
            first[found - there] = found, there
            if raw.startswith(base[there : there + _SURE_BYTES], found):
                return first[found - there]
            # It may be a repetition; a longer one near by is more likely to be the place.
            reach = min(reach, 2 * skipped + _SHIFT_BYTES)
            length = _same(raw[found : found + _SURE_BYTES], 0, base[there : there + _SURE_BYTES], 0)
            if length > best_bytes:
                best, best_bytes = found - there, length
        skipped = skipped + 16 if skipped < 64 else skipped + skipped // 2
    return first.get(best) if best_bytes else None
