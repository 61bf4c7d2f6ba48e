"""Marks: what may change about a checkpoint after its commit (FORMAT.md, "Marks").

Everything here fails towards keeping: without readable marks a checkpoint counts as pinned, so that a fault never makes
retention bolder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
from collections.abc import Container, Sequence

import msgspec

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.crypto import Kind, Sealer
from maos_ckpt.errors import IntegrityError, MissingObjectError
from maos_ckpt.model import Checkpoint, CheckpointState
from maos_ckpt.repository.checked_json import decode_checked, with_checksum
from maos_ckpt.repository.manifests import Marks, marks_name

_LOG = logging.getLogger(__name__)
DIRECTORY = "marks"
MARKS_BYTES_MAX = 1 << 20
#: Holds the highest sequence number among removed checkpoints.
_SEQUENCE = f"{DIRECTORY}/sequence.json"

#: Names of manifests have twelve digits.
_SEQ_MAX = 10**12 - 1


class _Floor(msgspec.Struct, frozen=True):
    seq: int


class MarkStore:
    """The marks of one repository's checkpoints."""

    def __init__(self, backend: LocalBackend, sealer: Sealer) -> None:
        self._backend = backend
        self._sealer = sealer

    @property
    def lost(self) -> bool:
        """Whether the whole folder is gone, and with it the knowledge of what was pinned."""
        return bool(self._backend.missing([DIRECTORY]))

    def names(self) -> Container[str] | None:
        """The objects there are, for `apply`; None where the folder is gone."""
        return None if self.lost else self._backend.list(DIRECTORY)

    def apply(self, checkpoint: Checkpoint, names: Container[str] | None) -> Checkpoint:
        """A checkpoint as its manifest says, with its marks."""
        if names is None:
            return dataclasses.replace(checkpoint, pinned=True, marked=True)
        if marks_name(checkpoint.id) not in names:
            return checkpoint
        marks = self._read(checkpoint)
        state = CheckpointState.DAMAGED if marks.damaged else checkpoint.state
        return dataclasses.replace(checkpoint, tags=tuple(marks.tags), pinned=marks.pinned, state=state, marked=True)

    def _read(self, checkpoint: Checkpoint) -> Marks:
        name = marks_name(checkpoint.id)
        try:
            return decode_checked(self._open(name), name, Marks)
        except IntegrityError:
            return Marks(list(checkpoint.tags), True)

    def store(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint's tags, pin and damage its marks."""
        self._store(marks_name(checkpoint.id), _encoded(checkpoint))

    def forget(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint's marks."""
        self._backend.delete(marks_name(checkpoint.id))

    def make_anew(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Make the lost folder again, with these checkpoints' marks in it from the start."""
        self._backend.create_directory(
            DIRECTORY,
            {
                f"{one.id}.json": self._sealer.seal_object(
                    Kind.MARKS, marks_name(one.id), _encoded(dataclasses.replace(one, pinned=True))
                )
                for one in checkpoints
            },
        )

    def _open(self, name: str) -> bytes:
        return self.opened(name, self._backend.read(name, MARKS_BYTES_MAX))

    def opened(self, name: str, data: bytes) -> bytes:
        """Stored marks as they are without encryption; raises `IntegrityError` where they are not this repository's."""
        return self._sealer.open_object(Kind.MARKS, name, data)

    def _store(self, name: str, data: bytes) -> None:
        self._backend.create(name, self._sealer.seal_object(Kind.MARKS, name, data), replace=True)

    def adopt(self, name: str, data: bytes, synced: bytes) -> None:
        """Take marks, or the sequence floor, over from the remote copy; see `Repository.adopt_marks`."""
        try:
            theirs = self.opened(name, data)
        except IntegrityError as error:
            _LOG.warning("%s The marks here stay as they are.", error.message)
            return
        if name == _SEQUENCE:
            with contextlib.suppress(IntegrityError):
                self.raise_sequence_floor(_decoded_floor(theirs))
            return
        try:
            mine = self._backend.read(name, MARKS_BYTES_MAX)
            if hashlib.sha256(mine).digest() != synced:
                both = _both(self.opened(name, mine), theirs, name)
                data = self._sealer.seal_object(Kind.MARKS, name, both)
        except MissingObjectError:
            pass
        except IntegrityError:
            # Marks that cannot be read count as a pin; the other side's may be no worse.
            _LOG.warning("The marks %s here could not be read; those of the remote copy take their place.", name)
        self._backend.replace(name, data)

    def sequence_floor(self) -> int:
        """The highest sequence number among removed checkpoints, as far as it is known; else 0."""
        try:
            return _decoded_floor(self._open(_SEQUENCE))
        except IntegrityError:
            return 0

    def raise_sequence_floor(self, seq: int) -> None:
        """Note that the checkpoint of this number is about to be removed."""
        if seq > self.sequence_floor():
            self._store(_SEQUENCE, with_checksum(msgspec.json.encode({"seq": seq})))


def _both(mine: bytes, other: bytes, name: str) -> bytes:
    one, two = decode_checked(mine, name, Marks), decode_checked(other, name, Marks)
    tags = list(dict.fromkeys([*one.tags, *two.tags]))
    return with_checksum(msgspec.json.encode(Marks(tags, one.pinned or two.pinned, one.damaged and two.damaged)))


def check_marks(name: str, data: bytes) -> None:
    """Look whether marks, or the sequence floor, can be read; `data` as they are without encryption.

    Raises:
        IntegrityError: they are damaged.
    """
    if name == _SEQUENCE:
        _decoded_floor(data)
    else:
        decode_checked(data, name, Marks)


def _decoded_floor(data: bytes) -> int:
    # The first versions wrote the bare number.
    bare = data.isdigit() and len(data) <= len(str(_SEQ_MAX))
    seq = int(data) if bare else decode_checked(data, _SEQUENCE, _Floor).seq
    if not 0 <= seq <= _SEQ_MAX:
        raise IntegrityError(f"{_SEQUENCE} claims a number that no checkpoint has.", object=_SEQUENCE)
    return seq


def _encoded(checkpoint: Checkpoint) -> bytes:
    marks = Marks(list(checkpoint.tags), checkpoint.pinned, checkpoint.state is CheckpointState.DAMAGED)
    return with_checksum(msgspec.json.encode(marks))
