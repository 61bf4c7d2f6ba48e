"""Marks: what may change about a checkpoint after its commit (FORMAT.md, "Marks").

Everything here fails towards keeping: without readable marks a checkpoint counts as pinned, so that a fault never makes
retention bolder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Sequence

import msgspec

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint, CheckpointState
from maos_ckpt.repository.manifests import Marks, marks_name

DIRECTORY = "marks"
_BYTES_MAX = 1 << 20
#: Holds the highest sequence number among removed checkpoints.
_SEQUENCE = f"{DIRECTORY}/sequence.json"


class MarkStore:
    """The marks of one repository's checkpoints."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend

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
            return dataclasses.replace(checkpoint, pinned=True)
        if marks_name(checkpoint.id) not in names:
            return checkpoint
        marks = self._read(checkpoint)
        state = CheckpointState.DAMAGED if marks.damaged else checkpoint.state
        return dataclasses.replace(checkpoint, tags=tuple(marks.tags), pinned=marks.pinned, state=state)

    def _read(self, checkpoint: Checkpoint) -> Marks:
        try:
            return msgspec.json.decode(self._backend.read(marks_name(checkpoint.id), _BYTES_MAX), type=Marks)
        except (IntegrityError, msgspec.DecodeError):
            return Marks(list(checkpoint.tags), True)

    def store(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint's tags, pin and damage its marks."""
        self._backend.create(marks_name(checkpoint.id), _encoded(checkpoint), replace=True)

    def forget(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint's marks."""
        self._backend.delete(marks_name(checkpoint.id))

    def make_anew(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Make the lost folder again, with these checkpoints' marks in it from the start."""
        self._backend.create_directory(
            DIRECTORY, {f"{one.id}.json": _encoded(dataclasses.replace(one, pinned=True)) for one in checkpoints}
        )

    def sequence_floor(self) -> int:
        """The highest sequence number among removed checkpoints, as far as it is known; else 0."""
        try:
            return msgspec.json.decode(self._backend.read(_SEQUENCE, _BYTES_MAX), type=int)
        except (IntegrityError, msgspec.DecodeError):
            return 0

    def raise_sequence_floor(self, seq: int) -> None:
        """Note that the checkpoint of this number is about to be removed."""
        if seq > self.sequence_floor():
            self._backend.create(_SEQUENCE, msgspec.json.encode(seq), replace=True)


def _encoded(checkpoint: Checkpoint) -> bytes:
    marks = Marks(list(checkpoint.tags), checkpoint.pinned, checkpoint.state is CheckpointState.DAMAGED)
    return msgspec.json.encode(marks) + b"\n"
