"""The worker process: one long operation, away from the console's event loop and from the engine's memory.

Started as `python -m maos_ckpt.worker` in a session of its own; `maos_ckpt.wire` says what it reads and writes.

An operation that changes something (save, recovery, prune) is always finished: neither SIGTERM nor the death of the
engine stops it half-way. One that only reads stops at its next progress report. A recovery is taken back by SIGTERM, as
long as it has not been committed; the death of the engine does not stop it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import signal
import sys
import threading
from typing import IO

import msgspec

from maos_ckpt import wire
from maos_ckpt.asking import EngineHost
from maos_ckpt.audit.actor import acting_for
from maos_ckpt.environment import collect_less_often
from maos_ckpt.errors import CkptError, InterruptedByUserError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.model import Progress
from maos_ckpt.operations.registry import OPERATIONS
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.processes import SparingProcesses
from maos_ckpt.recovery.cancellation import Cancellation
from maos_ckpt.seams import SYSTEM

#: Progress within one phase is reported at most this often.
PROGRESS_INTERVAL_S = 0.05
EXIT_DONE = 0
EXIT_BROKEN_REQUEST = 2


class Reporter:
    """Sends progress to the engine, and is where a reading operation is stopped."""

    def __init__(self, out: IO[bytes], *, finish: bool) -> None:
        self._out: IO[bytes] | None = out
        self._finish = finish
        self._stop = threading.Event()
        self.cancellation = Cancellation()
        self._phase = ""
        self._next_s = 0.0

    def stop(self) -> None:
        """Ask a reading operation to stop; callable from a signal handler or thread."""
        self._stop.set()

    def cancel(self) -> None:
        """As `stop`, and take a recovery back that has not been committed."""
        self.cancellation.ask()
        self.stop()

    def progress(self, progress: Progress) -> None:
        """The operation's progress sink.

        Raises:
            InterruptedByUserError: the operation only reads and was asked to stop.
        """
        if self._stop.is_set() and not self._finish:
            raise InterruptedByUserError(f"The {progress.operation} was stopped.", kept="Nothing was changed.")
        now_s = SYSTEM.clock.monotonic_s()
        if progress.phase != self._phase or now_s >= self._next_s:
            self._phase, self._next_s = progress.phase, now_s + PROGRESS_INTERVAL_S
            self.send(wire.ProgressFrame(progress))

    def send(self, frame: wire.Frame) -> None:
        """Write a frame; once the engine is gone there is nobody to write to."""
        if self._out is None:
            return
        try:
            wire.write_frame(self._out, frame)
        except OSError:
            self._out = None
            self._stop.set()


class _Unbuffered:
    """Standard input by `os.read`: a thread inside a buffered reader's lock would upset the interpreter's end."""

    def read(self, size: int) -> bytes:
        return os.read(0, size)


def _watch(reporter: Reporter, answers: queue.SimpleQueue[bytes | None]) -> None:
    with contextlib.suppress(OSError, wire.WireError):
        while (body := wire.read_frame(_Unbuffered())) is not None:
            answers.put(body)
    answers.put(None)
    reporter.stop()


def _workspace(place: wire.Place, reporter: Reporter, answers: queue.SimpleQueue[bytes | None]) -> Workspace:
    if not place.host:
        return Workspace.from_place(place, SYSTEM)
    # Whoever is to be asked must not be stopped, though it may have the database open itself.
    seams = dataclasses.replace(SYSTEM, processes=SparingProcesses(os.getppid()))
    return Workspace.from_place(place, seams, EngineHost(reporter.send, answers))


def _carry_out(request: wire.Request, reporter: Reporter, answers: queue.SimpleQueue[bytes | None]) -> wire.Frame:
    operation = OPERATIONS[request.operation]
    arguments: object = msgspec.msgpack.decode(request.arguments, type=operation.arguments)
    workspace = _workspace(request.place, reporter, answers)
    try:
        progress = reporter.progress
        sink = reporter.cancellation.watch(progress) if operation.cancellable else progress
        with acting_for(request.caller):
            result = operation.run(workspace, arguments, sink)
    except CkptError as error:
        return wire.error_frame(error)
    except OSError as error:
        return wire.error_frame(_machine_error(error))
    return wire.ResultFrame(msgspec.Raw(wire.encode(result)))


def _machine_error(error: OSError) -> CkptError:
    try:
        raise_storage_error(error, str(error.filename or "the repository"))
    except CkptError as known:
        return known


def main() -> int:
    """Read one request, carry it out, answer."""
    collect_less_often()
    # Whatever a library prints must not land between frames.
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    with os.fdopen(os.dup(0), "rb", buffering=0) as stdin:
        body = wire.read_frame(stdin)
    if body is None:
        return EXIT_BROKEN_REQUEST
    request = wire.decode_request(body)
    if request.operation not in OPERATIONS:
        return EXIT_BROKEN_REQUEST
    reporter = Reporter(out, finish=OPERATIONS[request.operation].writes)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: reporter.cancel())
    answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_watch, args=(reporter, answers), name="engine-watch", daemon=True).start()
    reporter.send(_carry_out(request, reporter, answers))
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
