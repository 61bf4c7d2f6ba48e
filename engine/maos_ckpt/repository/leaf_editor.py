"""Editing leaves in a process beside the save: `python -m maos_ckpt.repository.edit_leaves`.

Threads give a save nothing here: half of the work on a leaf is Python's, and giving up and taking back the interpreter
lock around the other half costs what it gains. The process gets a leaf's name and what to change in it, reads the leaf
itself, and answers with the delta to store, so that all chunks of a save still go into its one pack.

The process is never needed: a save that gets no answer edits the leaf itself.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import struct
import subprocess
import sys
from collections.abc import Sequence
from typing import IO, Final

import msgspec

from maos_ckpt.codec.secret import Secret
from maos_ckpt.environment import child_environment
from maos_ckpt.repository.beside import Job, enlarge_pipe
from maos_ckpt.repository.chunk_writer import LocalChunkWriter, Prepared
from maos_ckpt.tree.leaf_edits import Noted, Replacement, StoredLeaf
from maos_ckpt.tree.nodes import Entry

_LOG = logging.getLogger(__name__)
#: Before each message: its length.
LENGTH: Final = struct.Struct(">I")
#: What the process says first, when it is ready.
READY: Final = b"ready"
#: Leaves that it has at a time: one that it edits, and one that waits.
AHEAD_MAX: Final = 2
#: Of the pipe's room, what one question may take: sending never waits for the process, which may itself be waiting.
_QUESTION_SHARE: Final = 1 / (2 * AHEAD_MAX)
_F_GETPIPE_SZ: Final = 1032
_READ_BYTES_MAX: Final = 1 << 20
#: A process that needs longer for a leaf is given up.
_ANSWER_WAIT_S: Final = 2.0


class Question(msgspec.Struct, array_like=True, frozen=True):
    """A leaf as its parent names it, and what is to be changed in it."""

    id: bytes
    key: bytes
    count: int
    changes: Sequence[Replacement]


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """An edited leaf: see `EditedLeaf`."""

    chunk: Prepared
    key: bytes
    last_key: bytes
    records: int
    logical_bytes: int
    noted: list[Noted]


#: None: the leaf has to be edited elsewhere.
_answers = msgspec.msgpack.Decoder(Answer | None)


class LeafEditor:
    """See `Beside`. `writer` is the save's own; the process begins at once. Close it."""

    def __init__(self, job: Job, master: Secret | None, writer: LocalChunkWriter) -> None:
        self._writer = writer
        self._asked = 0
        self._ready = False
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "maos_ckpt.repository.edit_leaves"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                env=child_environment(),
                bufsize=0,
            )
        except OSError as error:
            _LOG.info("a process to edit leaves cannot be started: %s", error)
            return
        self._to, self._from = pipe_of(self._process.stdin), pipe_of(self._process.stdout)
        self._question_bytes_max = int(fcntl.fcntl(self._to, _F_GETPIPE_SZ) * _QUESTION_SHARE)
        self._send(msgspec.msgpack.encode(job))
        # Of its own, so that no text of a job ever shows it.
        self._send(b"" if master is None else master.reveal())

    def begin(self, entry: Entry, changes: Sequence[Replacement]) -> bool:
        """See `Beside.begin`."""
        if self._process is None or self._asked >= AHEAD_MAX or not self._is_ready():
            return False
        question = Question(entry.id, entry.key, entry.count, changes)
        data = msgspec.msgpack.encode(question)
        if len(data) > self._question_bytes_max or not self._send(data):
            return False
        self._asked += 1
        return True

    def take(self, *, wait: bool) -> tuple[StoredLeaf | None] | None:
        """See `Beside.take`."""
        if not wait and self._process is not None and not self._can_read(0.0):
            return None
        self._asked -= 1
        data = self._read()
        answer = None if data is None else _answers.decode(data)
        if answer is None:
            return (None,)
        self._writer.keep(answer.chunk)
        entry = Entry(0, answer.key, answer.chunk.name, answer.records, answer.logical_bytes, 0)
        return (StoredLeaf(entry, answer.last_key, answer.noted),)

    def _is_ready(self) -> bool:
        if not self._ready and self._can_read(0.0):
            self._ready = self._read() == READY
        return self._ready

    def _can_read(self, timeout_s: float) -> bool:
        """Whether there is something to read, if only that nothing more will come."""
        waiting = select.poll()
        waiting.register(self._from, select.POLLIN)
        return bool(waiting.poll(timeout_s * 1000))

    def _send(self, data: bytes) -> bool:
        if self._process is None:
            return False
        try:
            os.write(self._to, LENGTH.pack(len(data)) + data)
        except OSError:
            self._give_up("it ended")
            return False
        return True

    def _read(self) -> bytes | None:
        """The next message; None where the process is gone, or given up."""
        head = self._exactly(LENGTH.size)
        if head is None:
            return None
        (length,) = LENGTH.unpack(head)
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes | None:
        parts = bytearray()
        while self._process is not None and len(parts) < length:
            if not self._can_read(_ANSWER_WAIT_S):
                self._give_up("it does not answer")
            elif part := os.read(self._from, min(length - len(parts), _READ_BYTES_MAX)):
                parts += part
            else:
                self._give_up("it ended")
        return None if self._process is None else bytes(parts)

    def _give_up(self, why: str) -> None:
        _LOG.info("the process that edits leaves is not asked any more: %s", why)
        self.close()

    def close(self) -> None:
        """End the process; safe to call twice. It has nothing that could be lost."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def pipe_of(file: IO[bytes] | None) -> int:
    """The descriptor of a pipe, which is made to hold several messages where that is possible."""
    assert file is not None
    enlarge_pipe(file)
    return file.fileno()
