"""A small process that outlives this one, so that no stop of MAOS and no fence outlives its purpose.

A recovery stops MAOS for moments. Were this process killed in one of them (SIGKILL, out of memory), nothing of its own
could continue MAOS. The guardian is told, before the first SIGSTOP, whom to continue; it does so when our end of its
pipe closes, when our process is gone although somebody else still holds the pipe, and when it hears nothing for
`BEAT_S_MAX`. Afterwards it may be given one last job: to drop the fence trigger when its time has come.

It runs as `python -I -S` on this very file and imports the standard library and `maos_ckpt.processes` only, until there
is a fence to drop. It is nobody's child and in a session of its own: neither Ctrl-C nor a closed terminal reaches it.

The same goes for a command that has to run after a recovery, whatever became of it.

Its pipe carries lines: `watch PID:START …` (replaces the former list), `beat`, `fence AFTER_MS PATH RECOVERY` (the
last two as hex of UTF-8 with surrogates), `run WITHIN_MS DIRECTORY WORD…` (words as hex), `ran`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from maos_ckpt.processes import ProcessInfo, SystemProcesses

#: Silence after which the guardian continues what it watches: longer than any single step of a recovery.
BEAT_S_MAX: Final = 120.0
#: Longest delay before a fence is dropped that the guardian accepts.
FENCE_DELAY_S_MAX: Final = 120.0
#: Attempts to drop the fence, each of which waits for the lock as long as any recovery does.
FENCE_ATTEMPTS_MAX: Final = 3
#: How often it looks whether its owner still lives.
_POLL_S: Final = 0.1
#: How long a start may take on a machine under load.
_START_S_MAX: Final = 20.0
_LINE_BYTES_MAX: Final = 1 << 20


class Guardian:
    """This process's end of the pipe. `close` (or this process's death) ends the guardian's watch."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    @classmethod
    def start(cls) -> Guardian:
        """Start a guardian and wait until it listens.

        Raises:
            SourceError: it cannot be started; without one nothing may be stopped.
        """
        import subprocess  # the guardian process itself loads this file and must start fast

        from maos_ckpt.environment import program_environment

        # What this process can import, for the guardian's last job; a relative entry would mean something else there.
        paths = [one for one in sys.path if os.path.isabs(one)]
        command = [sys.executable, "-I", "-S", os.path.abspath(__file__), str(os.getpid()), *paths]
        try:
            with subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=program_environment(),
                start_new_session=True,
            ) as child:
                assert child.stdin is not None
                assert child.stdout is not None
                ready, _, _ = select.select([child.stdout], [], [], _START_S_MAX)
                answer = child.stdout.readline() if ready else b""
                if not answer:
                    child.kill()
                pipe = os.dup(child.stdin.fileno())
        except OSError as error:
            raise _cannot_start(os.strerror(error.errno or 0)) from error
        if answer != b"ready\n":
            os.close(pipe)
            raise _cannot_start("it did not answer")
        return cls(pipe)

    def watch(self, processes: Sequence[ProcessInfo]) -> None:
        """Continue these, in this order, should this process vanish; call it before the first is stopped."""
        self._say("watch " + " ".join(f"{one.pid}:{one.started}" for one in processes))

    def beat(self) -> None:
        """Say that this process is at work; more often than every `BEAT_S_MAX`."""
        self._say("beat")

    def drop_fence(self, path: Path, recovery: str, after_s: float) -> None:
        """Let the guardian drop the fence of `recovery` in the database at `path` after a time, then end."""
        delay_ms = int(min(max(after_s, 0.0), FENCE_DELAY_S_MAX) * 1000)
        self._say(f"fence {delay_ms} {os.fsencode(path).hex()} {recovery.encode('utf-8', 'surrogatepass').hex()}")

    def run_afterwards(self, command: Sequence[str], directory: Path, within_s: float) -> None:
        """Run a command in a directory when this process has vanished or closed, unless `ran` says that it was run."""
        words = " ".join(os.fsencode(one).hex() or "-" for one in (str(directory), *command))
        self._say(f"run {int(within_s * 1000)} {words}")

    def ran(self) -> None:
        """The command of `run_afterwards` has been run."""
        self._say("ran")

    def close(self) -> None:
        """End the watch; safe to call twice."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _say(self, line: str) -> None:
        from maos_ckpt.errors import SourceError

        data = line.encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._pipe, data) :]
        except OSError as error:
            raise SourceError(
                "The guardian process that would continue a stopped MAOS has ended.",
                kept="Nothing was changed.",
                hint="Try again.",
            ) from error


def _cannot_start(reason: str) -> Exception:
    from maos_ckpt.errors import SourceError

    return SourceError(
        f"The guardian process that would continue a stopped MAOS cannot be started: {reason}.",
        kept="Nothing was changed and nothing was stopped.",
        hint="Check the limits on processes and memory of this user, or stop MAOS and try again.",
    )


class _Watch:
    """The guardian process's own state."""

    def __init__(self, owner: ProcessInfo | None) -> None:
        self._processes = SystemProcesses()
        self._owner = owner
        self._watched: list[ProcessInfo] = []
        self._buffer = b""
        self.fence: tuple[float, Path, str] | None = None
        self.command: tuple[float, list[str]] | None = None

    def run(self) -> None:
        """Listen until the pipe closes, the owner is gone, or nobody speaks; then continue whatever is watched."""
        heard = time.monotonic()
        try:
            while self._owner is not None:
                ready, _, _ = select.select([0], [], [], _POLL_S)
                if ready:
                    data = os.read(0, 1 << 16)
                    if not data:
                        return
                    heard = time.monotonic()
                    self._take(data)
                elif time.monotonic() - heard > BEAT_S_MAX or not self._owner_lives():
                    return
        finally:
            for process in self._watched:
                with contextlib.suppress(OSError):
                    self._processes.resume(process)

    def _owner_lives(self) -> bool:
        assert self._owner is not None
        now = self._processes.describe(self._owner.pid)
        # A killed process whose parent has not yet collected it has no command line any more.
        return now is not None and now.started == self._owner.started and now.command != ("",)

    def _take(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data)[-_LINE_BYTES_MAX:].split(b"\n")
        for line in lines:
            word, *arguments = line.decode().split()
            if word == "watch":
                pairs = [one.split(":") for one in arguments]
                self._watched = [ProcessInfo(int(pid), int(started), (), "") for pid, started in pairs]
            elif word == "ran":
                self.command = None
            elif word == "run" and len(arguments) > 2:
                words = [os.fsdecode(bytes.fromhex(one.removeprefix("-"))) for one in arguments[1:]]
                self.command = int(arguments[0]) / 1000, words
            elif word == "fence" and len(arguments) == 3:
                path = Path(os.fsdecode(bytes.fromhex(arguments[1])))
                recovery = bytes.fromhex(arguments[2]).decode("utf-8", "surrogatepass")
                self.fence = (time.monotonic() + int(arguments[0]) / 1000, path, recovery)


def _run_command(within_s: float, directory: str, *command: str) -> None:
    import subprocess

    with contextlib.suppress(OSError, subprocess.SubprocessError):
        quiet = subprocess.DEVNULL
        subprocess.run(command, cwd=directory, stdin=quiet, stdout=quiet, stderr=quiet, timeout=within_s, check=False)


def _drop_fence(at: float, path: Path, recovery: str, paths: Sequence[str]) -> None:
    time.sleep(max(0.0, at - time.monotonic()))
    sys.path += paths
    from maos_ckpt.errors import CkptError
    from maos_ckpt.seams import SYSTEM
    from maos_ckpt.sources.sqlite.live import remove_fence

    for _ in range(FENCE_ATTEMPTS_MAX):
        try:
            remove_fence(path, SYSTEM, recovery)
        except CkptError:
            # The fence is inert after its time; the next recovery or a start of the engine drops it too.
            continue
        return


def main(arguments: Sequence[str]) -> int:
    """The guardian process. `arguments`: the owner's pid, then what it can import from."""
    owner = SystemProcesses().describe(int(arguments[0]))
    if os.fork():
        # The owner collects this first process at once, so the guardian is nobody's child.
        os._exit(0)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.write(1, b"ready\n")
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    watch = _Watch(owner)
    watch.run()
    os.dup2(quiet, 0)
    if watch.command is not None:
        within_s, words = watch.command
        _run_command(within_s, *words)
    if watch.fence is not None:
        _drop_fence(*watch.fence, arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
