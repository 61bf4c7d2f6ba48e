"""Reading packs: payloads and indexes, of local files and of the remote copy."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from maos_ckpt.backends.base import Backend
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.compression import CHUNK_BYTES_MAX
from maos_ckpt.codec.crypto import Kind, Sealer
from maos_ckpt.errors import IntegrityError, MissingObjectError
from maos_ckpt.fs import raise_read_error
from maos_ckpt.model import LOCAL_TIER, REMOTE_TIER
from maos_ckpt.repository.packs import HEADER_BYTES, TRAILER_BYTES, Stored, check_header, parse_index, tail_bytes
from maos_ckpt.repository.remote import RemoteCopy
from maos_ckpt.repository.spans import Range, Span, SpanReader

_OPEN_PACKS_MAX = 32
#: What is read of a pack's end at first; the index of a usual save fits.
_TAIL_BYTES = 32 << 10
#: A verification reads remote packs in blocks of this size, and keeps so many of them.
_BLOCK_BYTES = 4 << 20
_BLOCKS_MAX = 4


class PackReader:
    """Reads payloads and indexes out of packs: of local files, a bounded number of which is kept open, and else of the
    remote copy. Thread-safe."""

    def __init__(self, backend: LocalBackend, sealer: Sealer, remote: RemoteCopy | None = None) -> None:
        self._backend = backend
        self._sealer = sealer
        self._remote = remote
        self._open: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()
        self._remote_first = False
        self._past_cache = False
        self._local_only = False
        self._blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        #: Stored bytes read so far, by tier.
        self.bytes_read = {LOCAL_TIER: 0, REMOTE_TIER: 0}
        self._spans = None if remote is None else SpanReader(self._read_span)

    @contextlib.contextmanager
    def verifying(self, *, remote_first: bool = False, local_only: bool = False) -> Iterator[None]:
        """Read past the cache for the length of the block.

        Args:
            remote_first: what the remote copy holds, or should hold, is read there.
            local_only: what only the remote copy holds is not read: `IntegrityError` with `data["far"]`.
        """
        self._remote_first, self._past_cache, self._local_only = remote_first, True, local_only
        try:
            yield
        finally:
            self._remote_first = self._past_cache = self._local_only = False
            self._blocks.clear()

    def is_far(self, name: str) -> bool:
        """Whether a pack lies in the remote copy alone."""
        if self._remote is None:
            return False
        with self._lock:
            try:
                return self._descriptor(name) is None
            except IntegrityError:
                return False

    @property
    def reads_ahead(self) -> bool:
        """Whether anything can be far."""
        return self._spans is not None

    def ahead(self, ranges: Iterable[Range]) -> None:
        """These (pack, offset, length) will be asked for as payloads soon; begins to read those that are far."""
        assert self._spans is not None
        assert self._remote is not None
        if self._past_cache:
            return
        wanted = list(ranges)
        far = {name for name in {one[0] for one in wanted} if self.is_far(name)}
        holds = self._remote.holds_range
        self._spans.ahead(one for one in wanted if one[0] in far and not holds(*one))

    def _read_span(self, span: Span) -> bytes:
        assert self._remote is not None
        data = self._remote.uncached.read_range(span.name, span.offset, span.length)
        for name, offset, length in span.ranges:
            self._remote.keep_range(name, offset, data[offset - span.offset : offset - span.offset + length])
        return data

    def has_another(self, name: str) -> bool:
        """Whether a pack that was read here can be read in the remote copy, too; a verification asks each by itself."""
        return not self._past_cache and self._remote is not None and self._remote.memory.holds(name)

    def payload(self, name: str, stored: Stored, *, remotely: bool = False) -> bytes:
        """A chunk's payload of its codec, as it was given to `PackWriter.add`.

        Args:
            remotely: read it in the remote copy, wherever else it lies.

        Raises:
            IntegrityError: the pack is missing or shorter, or the payload does not open with this repository's key.
        """
        if not 0 <= stored.stored <= CHUNK_BYTES_MAX + self._sealer.payload_bytes:
            raise IntegrityError(f"A chunk in {name} claims {stored.stored} stored bytes.", object=name)
        return self._sealer.open(Kind.CHUNK, stored.id, self._read(name, stored.offset, stored.stored, remotely))

    def _read(self, name: str, offset: int, length: int, remotely: bool = False) -> bytes:
        # The lock keeps the descriptor from being evicted and closed while it is read from.
        with self._lock:
            fd = None if remotely or self._is_read_remotely(name) else self._descriptor(name)
            if fd is not None:
                self.bytes_read[LOCAL_TIER] += length
                try:
                    data = os.pread(fd, length, offset)
                except OSError as error:
                    raise_read_error(error, self._backend.path(name), name)
        if fd is None:
            assert self._spans is not None
            assert self._remote is not None
            if self._local_only:
                raise IntegrityError(f"The pack {name} lies in the remote copy alone.", object=name, far=name)
            # A verification reads what lies there now, nothing that was read before.
            found = None if self._past_cache else self._spans.take(name, offset, length)
            data = self._remote_range(self._remote, name, offset, length) if found is None else found
        if len(data) != length:
            raise IntegrityError(f"The pack {name} is shorter than its index says.", object=name)
        return data

    def _is_read_remotely(self, name: str) -> bool:
        """Whether a pack is to be read in the remote copy, wherever else it lies; what waits to be sent is not."""
        if not self._remote_first or self._remote is None:
            return False
        return self._remote.memory.holds(name) or name in self._remote.memory.lost()

    def _remote_range(self, remote: RemoteCopy, name: str, offset: int, length: int) -> bytes:
        if not self._past_cache:
            self.bytes_read[REMOTE_TIER] += length
            return remote.backend.read_range(name, offset, length)
        # Chunk by chunk is how a verification reads, and a request for each would be most of its time.
        first, after = offset // _BLOCK_BYTES, -(-(offset + length) // _BLOCK_BYTES)
        data = b"".join([self._block(remote.uncached, name, number) for number in range(first, after)])
        return data[offset - first * _BLOCK_BYTES :][:length]

    def _block(self, source: Backend, name: str, number: int) -> bytes:
        """One block of a remote pack, of which the last few are kept; the last block of a pack is shorter."""
        with self._lock:
            block = self._blocks.get((name, number))
            if block is not None:
                self._blocks.move_to_end((name, number))
                return block
        size = source.size(name)
        if size is None:
            raise MissingObjectError(f"The pack {name} is missing from the remote copy.", object=name)
        start = number * _BLOCK_BYTES
        block = source.read_range(name, start, min(_BLOCK_BYTES, size - start)) if start < size else b""
        with self._lock:
            self.bytes_read[REMOTE_TIER] += len(block)
            self._blocks[name, number] = block
            while len(self._blocks) > _BLOCKS_MAX:
                self._blocks.popitem(last=False)
        return block

    def index(self, name: str, size: int) -> list[Stored]:
        """The chunks of a pack of `size` bytes, from its own index.

        Raises:
            IntegrityError: the pack is missing or its index damaged.
            FormatError: a newer version wrote it.
        """
        if size < HEADER_BYTES + TRAILER_BYTES:
            raise IntegrityError(f"The pack {name} is damaged.", object=name)
        check_header(name, self._read(name, 0, HEADER_BYTES), self._sealer)
        return parse_index(name, size, self.tail(name, size), self._sealer)

    def tail(self, name: str, size: int) -> bytes:
        """Index and trailer, as they end a pack of `size` bytes; the trailer's claims are checked, not the index."""
        length = min(size, _TAIL_BYTES)
        data = self._read(name, size - length, length)
        wanted = tail_bytes(name, size, data)
        if wanted > length:
            data = self._read(name, size - wanted, wanted - length) + data
        return data[-wanted:]

    def forget(self, name: str) -> None:
        """Close a pack that is about to be deleted."""
        with self._lock:
            fd = self._open.pop(name, None)
            if fd is not None:
                os.close(fd)

    def close(self) -> None:
        """Close all packs."""
        if self._spans is not None:
            self._spans.close()
        with self._lock:
            while self._open:
                os.close(self._open.popitem()[1])

    def _descriptor(self, name: str) -> int | None:
        """An open local pack; None where only the remote copy has it."""
        fd = self._open.get(name)
        if fd is not None:
            self._open.move_to_end(name)
            return fd
        path = self._backend.path(name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            if self._remote is not None and self._remote.memory.holds(name):
                return None
            raise MissingObjectError(
                f"The pack {name} is missing.", hint="Run `maos-ckpt verify --all` to see what it held.", object=name
            ) from error
        except OSError as error:
            raise_read_error(error, path, name)
        self._open[name] = fd
        if len(self._open) > _OPEN_PACKS_MAX:
            os.close(self._open.popitem(last=False)[1])
        return fd
