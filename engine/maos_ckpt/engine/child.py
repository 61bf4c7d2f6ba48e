"""Runs one operation in a worker process and waits for its answer.

The worker has a session of its own, so that a key pressed in the terminal or its loss never reaches it; losing this
process it notices by the end of its standard input, and then finishes what must be finished (see `maos_ckpt.worker`).
"""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import sys
import tempfile
import threading
from typing import IO, Any

import msgspec

from maos_ckpt import wire
from maos_ckpt.client import ProgressSink
from maos_ckpt.engine.answering import Answering
from maos_ckpt.environment import child_environment
from maos_ckpt.errors import CkptError, InterruptedByUserError
from maos_ckpt.sources.provider.host import Host

_LOG = logging.getLogger(__name__)
#: How much of a dead worker's standard error goes to the log.
_STDERR_BYTES_MAX = 16 << 10
#: After its answer a worker has nothing left to do.
_EXIT_S = 10.0


class Child:
    """One worker process, from request to answer. `run` is called once; `terminate` from any thread.

    `host` answers what the worker asks of this process.
    """

    def __init__(self, host: Host | None = None) -> None:
        self._host = host
        self._process: subprocess.Popen[bytes] | None = None
        self._terminated = False
        self._lock = threading.Lock()

    def run(self, request: wire.Request, result_type: Any, progress: ProgressSink) -> Any:
        """Carry out a request; returns its decoded result.

        Raises:
            CkptError: whatever the operation raised, or that the worker died (`data["status"]`).
            InterruptedByUserError: `terminate` was called and the worker stopped at a safe point.
        """
        with tempfile.TemporaryFile() as stderr:
            process = self._spawn(stderr)
            try:
                answer = self._converse(process, request, progress)
            finally:
                for stream in (process.stdin, process.stdout):
                    if stream is not None:
                        with contextlib.suppress(OSError):
                            stream.close()
                status = self._reap(process)
            if answer is None and self._terminated and status == -signal.SIGTERM:
                raise _stopped_early()
            if answer is None:
                raise self._death(request.operation, status, stderr)
        if isinstance(answer, wire.ErrorFrame):
            raise wire.as_error(answer)
        return msgspec.msgpack.decode(answer.result, type=result_type)

    def _spawn(self, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        # -P: a file in the working directory must not pass for a module of ours or of the standard library.
        command = [sys.executable, "-P", "-m", "maos_ckpt.worker"]
        with self._lock:
            if self._terminated:
                raise _stopped_early()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                env=child_environment(),
            )
            return self._process

    def _converse(
        self, process: subprocess.Popen[bytes], request: wire.Request, progress: ProgressSink
    ) -> wire.ResultFrame | wire.ErrorFrame | None:
        with contextlib.closing(Answering(self._host)) as answering:
            return self._talk(process, request, progress, answering)

    @staticmethod
    def _talk(
        process: subprocess.Popen[bytes], request: wire.Request, progress: ProgressSink, answering: Answering
    ) -> wire.ResultFrame | wire.ErrorFrame | None:
        # Popen types them as optional; both are pipes here.
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            wire.write_frame(process.stdin, request)
            while (body := wire.read_frame(process.stdout)) is not None:
                frame = wire.decode_frame(body)
                if isinstance(frame, wire.AskFrame):
                    wire.write_frame(process.stdin, answering.answer(frame))
                elif isinstance(frame, wire.ProgressFrame):
                    progress(frame.progress)
                else:
                    return frame
        except (OSError, wire.WireError, msgspec.DecodeError) as error:
            _LOG.error("the worker's answer broke off: %s", error)
        return None

    def terminate(self) -> None:
        """Ask the worker to stop at the next safe point; a save, or a recovery from its commit on, finishes instead."""
        with self._lock:
            self._terminated = True
            if self._process is not None and self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.terminate()

    @staticmethod
    def _reap(process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    @staticmethod
    def _death(operation: str, status: int, stderr: IO[bytes]) -> CkptError:
        stderr.seek(0, 2)
        stderr.seek(max(stderr.tell() - _STDERR_BYTES_MAX, 0))
        _LOG.error("the worker for %s ended with %d:\n%s", operation, status, stderr.read().decode("utf-8", "replace"))
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return CkptError(
            f"The process that carried out the {operation} {how}.",
            kept="Every checkpoint committed before is untouched.",
            hint="Run the operation again; `maos-ckpt doctor` checks what may be wrong.",
            operation=operation,
            status=status,
        )


def _stopped_early() -> InterruptedByUserError:
    return InterruptedByUserError("Stopped before it began.", kept="Nothing was changed.")
