"""One recovery of a repository at a time, over all processes, and how far it has got for whoever asks."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from maos_ckpt.client import ProgressSink
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import RecoveryRunningError
from maos_ckpt.model import Progress
from maos_ckpt.repository.lease import try_lock
from maos_ckpt.safe_text import safe_text
from maos_ckpt.seams import Seams

LOCK_FILE: Final = "recovery.lock"
_PROGRESS: Final = "recovery/progress.json"
_BYTES_MAX: Final = 64 << 10
#: Within one phase the note of how far it is is renewed this often.
_NOTE_S: Final = 0.25
#: A rate is told when a phase has lasted this long.
_RATE_S_MIN: Final = 0.5
#: Whoever only looks holds the lock for an instant, so taking it is tried again this often.
_TRIES: Final = 5
_PAUSE_S: Final = 0.02


class Recovering(msgspec.Struct, frozen=True):
    """A recovery under way: whose it is, since when, and how far it is; times in ms since 1970."""

    operation: str
    pid: int
    host: str
    user: int
    since_ms: int
    phase: str
    phase_since_ms: int
    done: int
    total: int
    bytes: int

    def shape(self, now_ms: int) -> dict[str, object]:
        """For machines; `percent`, `rate_per_s` and `eta_s` (of this phase) are None where they cannot be told."""
        elapsed_s = (now_ms - self.phase_since_ms) / 1000
        rate = self.done / elapsed_s if self.done and elapsed_s >= _RATE_S_MIN else None
        eta_s = (self.total - self.done) / rate if rate and self.total >= self.done else None
        return msgspec.structs.asdict(self) | {
            "percent": round(100 * self.done / self.total, 1) if self.total else None,
            "rate_per_s": round(rate, 1) if rate else None,
            "eta_s": None if eta_s is None else round(eta_s, 1),
        }

    def sentence(self, now_ms: int) -> str:
        """For people."""
        what = "An undo" if self.operation == "undo" else "A recovery"
        share = f" ({self.done:,} of {self.total:,}, {self.done / self.total:.0%})" if self.total else ""
        since_s = max(0, now_ms - self.since_ms) // 1000
        who = f"process {self.pid} on {safe_text(self.host)}, user {self.user}"
        return f"{what} is under way in {who}, since {since_s} s: {safe_text(self.phase)}{share}."


@contextlib.contextmanager
def alone(repository: Path, operation: str, progress: ProgressSink, seams: Seams) -> Iterator[ProgressSink]:
    """Be the only recovery for the length of the block; gives a sink that notes progress for others, too.

    The lock is the kernel's: it goes with its process, however that ends.

    Raises:
        RecoveryRunningError: there is one already; `data` is its `Recovering.shape`, as far as that is known.
    """
    lock = try_lock(repository / LOCK_FILE, operation, seams)
    for _ in range(_TRIES):
        if lock is not None:
            break
        seams.clock.sleep(_PAUSE_S)
        lock = try_lock(repository / LOCK_FILE, operation, seams)
    if lock is None:
        raise already_running(repository, seams)
    note = _Note(repository / _PROGRESS, operation, progress, seams)
    try:
        note(Progress("recovery", "starting"))
        yield note
    finally:
        with contextlib.suppress(OSError):
            os.unlink(repository / _PROGRESS)
        lock.release()


def already_running(repository: Path, seams: Seams) -> RecoveryRunningError:
    """The error for a second recovery."""
    running, now_ms = _read(repository), seams.clock.now_ms()
    return RecoveryRunningError(
        "A recovery is under way already." if running is None else running.sentence(now_ms),
        kept="Nothing was changed.",
        hint="Wait until it is done; `maos-ckpt status` says how far it is.",
        **({} if running is None else running.shape(now_ms)),
    )


def running_recovery(repository: Path, seams: Seams) -> Recovering | None:
    """The recovery under way, or None."""
    if not (repository / LOCK_FILE).exists() or not os.access(repository / LOCK_FILE, os.W_OK):
        return None
    lock = try_lock(repository / LOCK_FILE, "look", seams)
    if lock is None:
        return _read(repository)
    lock.release()
    return None


def _read(repository: Path) -> Recovering | None:
    with contextlib.suppress(OSError, *UNDECODABLE), (repository / _PROGRESS).open("rb") as file:
        return msgspec.json.decode(file.read(_BYTES_MAX), type=Recovering)
    return None


class _Note:
    """A progress sink that leaves a note beside the repository's own; a disk that refuses it costs the note alone."""

    def __init__(self, path: Path, operation: str, progress: ProgressSink, seams: Seams) -> None:
        self._path = path
        self._operation = operation
        self._progress = progress
        self._clock = seams.clock
        self._since_ms = self._phase_since_ms = seams.clock.now_ms()
        self._phase = ""
        self._next_s = 0.0

    def __call__(self, step: Progress) -> None:
        now_s = self._clock.monotonic_s()
        if step.phase != self._phase or now_s >= self._next_s:
            if step.phase != self._phase:
                self._phase, self._phase_since_ms = step.phase, self._clock.now_ms()
            self._next_s = now_s + _NOTE_S
            with contextlib.suppress(OSError):
                self._write(step)
        self._progress(step)

    def _write(self, step: Progress) -> None:
        note = Recovering(
            self._operation,
            os.getpid(),
            socket.gethostname(),
            os.getuid(),
            self._since_ms,
            step.phase,
            self._phase_since_ms,
            step.done,
            step.total,
            step.bytes,
        )
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(note))
        os.replace(temporary, self._path)
