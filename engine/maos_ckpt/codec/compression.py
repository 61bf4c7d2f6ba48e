"""Codecs behind two functions, with bounds that hold before anything is allocated.

The stored form of a chunk is `(codec, payload)`; its raw length is known from the pack index and is checked before
decompression, because a frame's own header is not to be trusted: a 32 KB zstd frame can claim a gigabyte.
"""

from __future__ import annotations

import gzip
import threading
import zlib
from enum import IntEnum

import brotli
import lz4.block
import zstandard

from maos_ckpt.errors import IntegrityError

#: No chunk is larger than this before compression; longer claims are refused unread.
CHUNK_BYTES_MAX = 16 << 20
#: Window for zstd frames: covers a base and its successor, bounds the decoder's memory to 32 MiB.
_WINDOW_LOG_MAX = 25
#: A delta is stored as zstd at this level: long matches make higher ones no smaller, only slower.
_DELTA_LEVEL = 3


class Codec(IntEnum):
    """How a chunk's payload is compressed; the numbers are part of the format."""

    NONE = 0
    ZSTD = 1
    LZ4 = 2
    GZIP = 3
    BROTLI = 4
    ZSTD_DELTA = 5


#: Levels that mean something for each codec: (lowest, highest, default).
LEVELS: dict[Codec, tuple[int, int, int]] = {
    Codec.NONE: (0, 0, 0),
    Codec.ZSTD: (1, 19, 3),
    Codec.LZ4: (0, 12, 0),
    Codec.GZIP: (1, 9, 6),
    Codec.BROTLI: (0, 11, 5),
}

# zstandard's objects must not be shared between threads.
_local = threading.local()


def _zstd_compressor(level: int) -> zstandard.ZstdCompressor:
    pool: dict[int, zstandard.ZstdCompressor] = _local.__dict__.setdefault("compressors", {})
    if level not in pool:
        pool[level] = zstandard.ZstdCompressor(level=level, write_checksum=False, write_content_size=True)
    return pool[level]


def _zstd_decompressor() -> zstandard.ZstdDecompressor:
    decompressor: zstandard.ZstdDecompressor | None = getattr(_local, "decompressor", None)
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor(max_window_size=1 << _WINDOW_LOG_MAX)
    return decompressor


def compress(codec: Codec, level: int, raw: bytes) -> bytes:
    """`raw` in the form of `codec`; any codec but `ZSTD_DELTA`."""
    if codec is Codec.ZSTD:
        return _zstd_compressor(level).compress(raw)
    if codec is Codec.LZ4:
        if level:
            return bytes(lz4.block.compress(raw, mode="high_compression", compression=level, store_size=False))
        return bytes(lz4.block.compress(raw, store_size=False))
    if codec is Codec.GZIP:
        return gzip.compress(raw, compresslevel=level, mtime=0)
    if codec is Codec.BROTLI:
        return bytes(brotli.compress(raw, quality=level))
    if codec is Codec.NONE:
        return raw
    raise ValueError(f"{codec.name} needs a base")


def compress_delta(raw: bytes, base: bytes) -> bytes:
    """`raw` as zstd with `base` as its dictionary (raw content)."""
    dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _DELTA_LEVEL, source_size=len(raw), dict_size=len(base), write_content_size=1, write_dict_id=0
    )
    return zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters).compress(raw)


def decompress(
    codec: int, payload: bytes, raw_length: int, base: bytes | None = None, *, raw_length_max: int = CHUNK_BYTES_MAX
) -> bytes:
    """The raw bytes behind a payload.

    Args:
        raw_length: the length the pack index states; the result has exactly this length.
        base: the base chunk's raw bytes, for `Codec.ZSTD_DELTA` only.

    Raises:
        IntegrityError: the payload does not decode to `raw_length` bytes, or the codec is unknown.
    """
    if not 0 <= raw_length <= raw_length_max:
        raise IntegrityError(f"A stored object claims {raw_length} bytes, more than {raw_length_max}.")
    try:
        raw = _decompress(codec, payload, raw_length, base)
    except (zstandard.ZstdError, lz4.block.LZ4BlockError, brotli.error, zlib.error, OSError, ValueError) as error:
        raise IntegrityError("A stored chunk does not decompress.", hint="Run `maos-ckpt verify --all`.") from error
    if len(raw) != raw_length:
        raise IntegrityError("A stored chunk has another length than its index says.")
    return raw


def _decompress(codec: int, payload: bytes, raw_length: int, base: bytes | None) -> bytes:
    if codec in (Codec.ZSTD, Codec.ZSTD_DELTA):
        if zstandard.frame_content_size(payload) != raw_length:
            raise ValueError("frame size")
        if codec == Codec.ZSTD:
            return _zstd_decompressor().decompress(payload)
        if base is None:
            raise ValueError("a delta needs its base")
        dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=1 << _WINDOW_LOG_MAX)
        return decompressor.decompress(payload)
    if codec == Codec.LZ4:
        return bytes(lz4.block.decompress(payload, uncompressed_size=raw_length)) if raw_length else b""
    if codec == Codec.GZIP:
        return _bounded_gunzip(payload, raw_length)
    if codec == Codec.BROTLI:
        return _bounded_unbrotli(payload, raw_length)
    if codec == Codec.NONE:
        return payload
    raise ValueError("unknown codec")


def _bounded_gunzip(payload: bytes, raw_length: int) -> bytes:
    decompressor = zlib.decompressobj(wbits=31)
    raw = decompressor.decompress(payload, raw_length + 1)
    if not decompressor.eof or decompressor.unused_data:
        raise ValueError("gzip stream")
    return raw


def _bounded_unbrotli(payload: bytes, raw_length: int) -> bytes:
    decompressor = brotli.Decompressor()
    parts = [decompressor.process(payload, output_buffer_limit=raw_length + 1)]
    length = len(parts[0])
    while not decompressor.is_finished() and length <= raw_length:
        part = decompressor.process(b"", output_buffer_limit=raw_length + 1 - length)
        if not part and not decompressor.is_finished():
            raise ValueError("brotli stream")
        parts.append(part)
        length += len(part)
    return b"".join(parts)
