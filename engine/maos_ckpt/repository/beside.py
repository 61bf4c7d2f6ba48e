"""Storing chunks in a process beside the one that reads the source.

Reading rows in CPython gives up and takes back the interpreter lock for every row; compression threads in the same
process make each of these turns a wait. With the store in its own process a 500 MB state is read and compressed side
by side.

The pipe carries, to the store: a job, then chunks, then the order to seal; back, in the same order: an id or an error
for each chunk, and the result of sealing. When the pipe ends without that order nothing is stored under a name.
"""

from __future__ import annotations

import contextlib
import fcntl
import struct
import subprocess
import sys
from collections import deque
from typing import IO

import msgspec

from maos_ckpt.codec.compression import CHUNK_BYTES_MAX
from maos_ckpt.codec.measures import StoredMeasures, unpack_measures
from maos_ckpt.codec.policy import CodecSettings, Measures
from maos_ckpt.codec.secret import Secret
from maos_ckpt.environment import child_environment
from maos_ckpt.errors import CkptError, StorageError
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.packs import SealedPack
from maos_ckpt.tree.sink import Pending

#: Before each message to the store: lengths of label, predecessor and chunk; a chunk of length 0 is the order to seal.
REQUEST = struct.Struct(">HBI")
#: Before each answer: whether it is an error, and its length.
ANSWER = struct.Struct(">?I")
#: Chunks sent and not yet answered; the answers of so many fit into the pipe, so the two never wait for each other.
AHEAD_MAX = 64
_ANSWER_BYTES_MAX = 1 << 20
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
_END_WAIT_S = 10.0


class Job(msgspec.Struct, frozen=True):
    """What the store needs to begin; `identity` is the repository's id, so that a key gets to no other one."""

    repository: str
    identity: str
    remote: RemoteSettings | None
    settings: CodecSettings
    measures: StoredMeasures
    expected_bytes: int


class Sealed(msgspec.Struct, frozen=True):
    """What the store answers in the end; see `ChunkWriter`."""

    pack: SealedPack
    measures: StoredMeasures


class Failure(msgspec.Struct, frozen=True):
    """An error on its way back; `kind` names a class of `errors`."""

    kind: str
    message: str
    kept: str
    hint: str


def _error_classes(root: type[CkptError] = CkptError) -> dict[str, type[CkptError]]:
    found = {root.kind: root}
    for one in root.__subclasses__():
        # Subclasses that share a kind cross as the class that gave it.
        found = {**_error_classes(one), **found}
    return found


class _Ticket:
    """A chunk that the store has not answered for yet."""

    __slots__ = ("_writer", "id")

    def __init__(self, writer: ProcessChunkWriter) -> None:
        self._writer = writer
        self.id: bytes | None = None

    def done(self) -> bool:
        """See `Pending.done`."""
        return self.id is not None

    def result(self) -> bytes:
        """See `Pending.result`."""
        while self.id is None:
            self._writer.collect()
        return self.id


class ProcessChunkWriter:
    """A `ChunkWriter` whose work is done by `python -m maos_ckpt.repository.store`."""

    def __init__(self, job: Job, master: Secret | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "maos_ckpt.repository.store"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=child_environment(),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to = self._process.stdin
        self._from = self._process.stdout
        self._tickets: deque[_Ticket] = deque()
        self._measures: Measures = {}
        enlarge_pipe(self._to)
        data = msgspec.msgpack.encode(job)
        # Of its own, so that no text of a job ever shows it.
        key = b"" if master is None else master.reveal()
        try:
            self._send(REQUEST.pack(0, 0, len(data)), data)
            self._send(REQUEST.pack(0, 0, len(key)), key)
        except BaseException:
            self.close()
            raise

    def put(self, plain: bytes, label: str, predecessor: bytes | None = None) -> Pending:
        """See `ChunkSink.put`."""
        if len(plain) > CHUNK_BYTES_MAX:
            raise StorageError(f"A chunk of {len(plain)} bytes is larger than chunks are.")
        while len(self._tickets) >= AHEAD_MAX:
            self.collect()
        name, before = label.encode()[:65_535], predecessor or b""
        self._send(REQUEST.pack(len(name), len(before), len(plain)), name, before, plain)
        ticket = _Ticket(self)
        self._tickets.append(ticket)
        return ticket

    def _send(self, *parts: bytes) -> None:
        try:
            for part in parts:
                self._to.write(part)
            self._to.flush()
        except BrokenPipeError:
            # The store said why before it ended; the answer is still in the pipe.
            while self._tickets:
                self.collect()
            raise self._gone() from None

    def collect(self) -> None:
        """Take the next answer."""
        identifier = self._answer()
        self._tickets.popleft().id = identifier

    def _answer(self) -> bytes:
        head = self._from.read(ANSWER.size)
        if len(head) < ANSWER.size:
            raise self._gone()
        failed, length = ANSWER.unpack(head)
        if length > _ANSWER_BYTES_MAX:
            raise self._gone()
        data = self._from.read(length)
        if failed:
            failure = msgspec.msgpack.decode(data, type=Failure)
            raise _error_classes().get(failure.kind, CkptError)(failure.message, kept=failure.kept, hint=failure.hint)
        return data

    def _gone(self) -> StorageError:
        return StorageError(
            "The process that stores chunks ended too early.",
            kept="Every checkpoint committed before is untouched.",
            hint="Save again; if it happens again, look for a lack of memory in the system's log.",
            exit_status=self._process.poll(),
        )

    def seal(self) -> SealedPack:
        """See `ChunkWriter.seal`."""
        while self._tickets:
            self.collect()
        self._send(REQUEST.pack(0, 0, 0))
        sealed = msgspec.msgpack.decode(self._answer(), type=Sealed)
        self._measures = unpack_measures(sealed.measures)
        return sealed.pack

    def measures(self) -> Measures:
        """See `ChunkWriter.measures`."""
        return self._measures

    def close(self) -> None:
        """See `ChunkWriter.close`."""
        if self._from.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            self._to.close()
        try:
            self._process.wait(_END_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._from.close()


def enlarge_pipe(file: IO[bytes]) -> None:
    """Let a pipe hold several chunks, so that its two ends need not take turns; else it is only slower."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(file.fileno(), _F_SETPIPE_SZ, _PIPE_BYTES)
