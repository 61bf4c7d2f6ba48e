"""What holds a system still while it is captured, and lets it go on: callbacks, programs, or requests."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from maos_ckpt.errors import SourceError
from maos_ckpt.processes import Processes
from maos_ckpt.sources.commands import run_command

#: A callback, plain or async; it fails by raising.
Hook = Callable[[], Any]
_ANSWER_BYTES_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Hooks:
    """Run in this order to hold still, and in the other to let go. `resume_command` is also run by the guardian, should
    this process die in between, in `directory`. Times in seconds; `hold_s_max` is from one checkpoint's hold to its
    release, `recovery_s_max` the same for a recovery."""

    quiesce: tuple[Hook, ...] = ()
    resume: tuple[Hook, ...] = ()
    resume_command: tuple[str, ...] = ()
    directory: Path = Path("/")
    hook_s_max: float = 5.0
    hold_s_max: float = 10.0
    recovery_s_max: float = 60.0

    def __bool__(self) -> bool:
        return bool(self.quiesce or self.resume)


def command_hook(command: tuple[str, ...], directory: Path, within_s: float, processes: Processes) -> Hook:
    """A program with its arguments, run without a shell."""

    def run() -> None:
        failed = run_command(command, directory, within_s, processes)
        if failed:
            raise SourceError(f"the command {failed}")

    return run


def http_hook(url: str, within_s: float) -> Hook:
    """An empty POST to an http(s) URL, which answers with 2xx; no redirect is followed."""

    def run() -> None:
        # Loaded here: a save without such a hook does not pay for it.
        import http.client

        parts = urllib.parse.urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=within_s)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, body=b"", headers={"Content-Length": "0"})
            answer = connection.getresponse()
            answer.read(_ANSWER_BYTES_MAX)
            if not 200 <= answer.status < 300:
                raise SourceError(f"the request was answered with {answer.status}")
        finally:
            connection.close()

    return run
