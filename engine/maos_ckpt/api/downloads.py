"""A checkpoint as one download: exported to files below the repository, then streamed as a tar archive.

The files are there before the first byte is sent, so that the answer has its length, and a download that was cut short
shows. They go when it ends, however it ends; what a killed engine left goes with the next download.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiofiles
import anyio
import anyio.to_thread
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from maos_ckpt.api.problems import HttpProblem
from maos_ckpt.errors import UnavailableError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.repository.lease import try_lock
from maos_ckpt.seams import Seams

TAR = "application/x-tar"
#: Below the repository.
DIRECTORY = "exports"
#: Each takes the room of a checkpoint's whole state.
DOWNLOADS_MAX = 2
PIECE_BYTES = 256 << 10
_BLOCK_BYTES = 512
_END = bytes(2 * _BLOCK_BYTES)
_LOCK = "lock"
_STATE = "state"
_TOKEN_BYTES = 8
_RETRY_AFTER_S = 10


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive."""

    path: Path
    name: str
    size: int
    mtime_s: int

    @property
    def head(self) -> bytes:
        """What stands before its bytes."""
        info = tarfile.TarInfo(self.name)
        info.size, info.mtime, info.mode = self.size, self.mtime_s, 0o600
        return info.tobuf(tarfile.PAX_FORMAT)

    @property
    def padding_bytes(self) -> int:
        """Zeros behind its bytes."""
        return -self.size % _BLOCK_BYTES


class Downloads:
    """Room for the downloads of one application."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams
        self._free = threading.Semaphore(DOWNLOADS_MAX)
        #: Held from making a directory to holding its lock, so that nobody takes it for one that was left.
        self._making = threading.Lock()

    @contextlib.contextmanager
    def room(self, repository: Path) -> Iterator[Path]:
        """A place that does not exist yet, gone with all that was put there when the block ends.

        Raises:
            HttpProblem: 503, as many are under way as may be.
            StorageError, PermissionRefusedError: there is no room.
        """
        if not self._free.acquire(blocking=False):
            error = UnavailableError(
                f"{DOWNLOADS_MAX} downloads are under way, and no more are begun.",
                hint="Try again when one of them has ended.",
            )
            raise HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, error, {"retry-after": str(_RETRY_AFTER_S)})
        try:
            with self._directory(repository / DIRECTORY) as directory:
                yield directory / _STATE
        finally:
            self._free.release()

    @contextlib.contextmanager
    def _directory(self, root: Path) -> Iterator[Path]:
        directory = root / self._seams.random.token(_TOKEN_BYTES).hex()
        try:
            with self._making:
                root.mkdir(mode=0o700, exist_ok=True)
                self._clear(root)
                directory.mkdir(mode=0o700)
                lock = try_lock(directory / _LOCK, "download", self._seams)
        except OSError as error:
            raise_storage_error(error, error.filename or root)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            if lock is not None:
                lock.release()

    def _clear(self, root: Path) -> None:
        """Remove what nobody holds any more."""
        for left in root.iterdir():
            if (left / _LOCK).exists():
                lock = try_lock(left / _LOCK, "clear", self._seams)
                if lock is not None:
                    shutil.rmtree(left, ignore_errors=True)
                    lock.release()


def members(directory: Path, top: str, mtime_s: int) -> list[Member]:
    """The files below a directory, as they stand in an archive below `top`."""
    found = []
    for parent, _, names in sorted(os.walk(directory)):
        for name in sorted(names):
            path = Path(parent, name)
            inside = f"{top}/{path.relative_to(directory).as_posix()}"
            found.append(Member(path, inside, path.stat().st_size, mtime_s))
    return found


def archive_bytes(files: list[Member]) -> int:
    """How long the archive will be."""
    return sum(len(one.head) + one.size + one.padding_bytes for one in files) + len(_END)


async def archive(files: list[Member]) -> AsyncGenerator[bytes, None]:
    """The archive, in pieces."""
    for one in files:
        yield one.head
        left = one.size
        # A client that goes away must not leave a file open that was being opened or closed.
        with anyio.CancelScope(shield=True):
            file = await aiofiles.open(one.path, "rb")
        try:
            while left:
                piece = await file.read(min(PIECE_BYTES, left))
                if not piece:
                    raise OSError(f"{one.name} became shorter while it was sent")
                left -= len(piece)
                yield piece
        finally:
            with anyio.CancelScope(shield=True):
                await file.close()
        yield bytes(one.padding_bytes)
    yield _END


class Download(StreamingResponse):
    """Sends an archive, and then, or where the client goes away, gives its room back."""

    def __init__(self, files: list[Member], headers: dict[str, str], room: contextlib.ExitStack) -> None:
        self._room = room
        self._pieces = archive(files)
        super().__init__(self._pieces, HTTPStatus.OK, headers, TAR)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        try:
            if scope["method"] == "HEAD":
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await send({"type": "http.response.body", "body": b""})
            else:
                await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._pieces.aclose()
                await anyio.to_thread.run_sync(self._room.close)
