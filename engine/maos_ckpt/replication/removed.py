"""Which checkpoints retention took out of the remote copy, by number: what tells a removal from a loss.

A writer adds to the object `doomed/manifests.json` before it deletes a manifest. Another home drops its own mirrored
manifest only where the number is named there; one that vanished otherwise was lost, and is kept. Consecutive numbers
are one range, so the object holds about as many ranges as there are checkpoints.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from maos_ckpt.codec.crypto import Kind
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import IntegrityError, MissingObjectError
from maos_ckpt.repository.manifests import manifest_seq
from maos_ckpt.repository.remote import RemoteCopy

_LOG = logging.getLogger(__name__)
NAME = "doomed/manifests.json"
#: Beyond so many ranges the lowest are dropped: homes that still mirror what they name keep it.
RANGES_MAX = 200_000
_BYTES_MAX = 16 << 20
#: The ranges as this home last read or wrote them.
_KNOWN = "removed"

_decoder = msgspec.json.Decoder(list[tuple[int, int]])


@dataclass(frozen=True, slots=True)
class Removed:
    """Ranges (first, last) of sequence numbers, rising and apart."""

    ranges: tuple[tuple[int, int], ...] = ()

    def __contains__(self, name: object) -> bool:
        """Whether this manifest was removed by retention."""
        number = manifest_seq(str(name))
        return number is not None and any(first <= number <= last for first, last in self.ranges)

    def with_names(self, names: Iterable[str]) -> Removed:
        """These manifests as well."""
        merged: list[tuple[int, int]] = []
        numbers = [number for name in names if (number := manifest_seq(name)) is not None]
        for first, last in sorted([*self.ranges, *zip(numbers, numbers, strict=True)]):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return Removed(tuple(merged[-RANGES_MAX:]))

    def without(self, name: str) -> Removed:
        """All but this manifest, which is about to lie there again."""
        number = manifest_seq(name)
        if number is None:
            return self
        parts: list[tuple[int, int]] = []
        for first, last in self.ranges:
            halves = ((first, min(last, number - 1)), (max(first, number + 1), last))
            parts += [half for half in halves if half[0] <= half[1]] if first <= number <= last else [(first, last)]
        return Removed(tuple(parts))


def read_removed(remote: RemoteCopy) -> Removed:
    """What is announced. An announcement that cannot be read names nothing, so nothing is dropped for it."""
    try:
        return _decoded(remote.sealer.open_object(Kind.DOOMED, NAME, remote.backend.read(NAME, _BYTES_MAX)))
    except MissingObjectError:
        return Removed()
    except (IntegrityError, *UNDECODABLE):
        _LOG.warning("%s in the remote copy is damaged, so no checkpoint counts as removed for it.", NAME)
        return Removed()


def _decoded(data: bytes) -> Removed:
    ranges = [(first, last) for first, last in _decoder.decode(data) if 0 < first <= last]
    return Removed(tuple(sorted(ranges)))


def know_removed(remote: RemoteCopy, removed: Removed) -> None:
    """Remember what others are told, for `announce_removed` to add to."""
    remote.memory.set_fact(_KNOWN, msgspec.json.encode(removed.ranges).decode())


def known_removed(remote: RemoteCopy) -> Removed:
    """What others are told, as far as this home, which holds the lease, knows."""
    return _decoded((remote.memory.fact(_KNOWN) or "[]").encode())


def announce_removed(remote: RemoteCopy, removed: Removed) -> None:
    """Tell others, where that is anything new; the caller holds the lease."""
    if removed != known_removed(remote):
        data = msgspec.json.encode(removed.ranges)
        remote.backend.replace(NAME, remote.sealer.seal_object(Kind.DOOMED, NAME, data))
        know_removed(remote, removed)
