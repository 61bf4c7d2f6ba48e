"""The heartbeat: a monitor elsewhere is asked after every save, and so notices when this whole machine is gone.

Only the newest of what happened is told: what matters is that saves succeed now.
"""

from __future__ import annotations

import logging
import threading
from urllib.parse import urlsplit, urlunsplit

from maos_ckpt import __version__
from maos_ckpt.events import CheckpointCreated, Event, OperationFailed, OperationProgressed
from maos_ckpt.hooks.http import request

_LOG = logging.getLogger(__name__)
#: One request takes no longer.
ATTEMPT_S = 10.0
#: Requests for one ping, and the pause between them.
ATTEMPTS_MAX = 3
PAUSE_S = 1.0
SUCCESS = ""
START = "/start"
FAIL = "/fail"
_SAVE = "save"


def ping_url(url: str, what: str) -> str:
    """Where to ask for `what`: it is added to the path, before any query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + what)) if what else url


def ping(url: str, what: str) -> str:
    """One attempt; what went wrong, or ""."""
    return request("GET", ping_url(url, what), b"", {"user-agent": f"maos-ckpt/{__version__}"}, ATTEMPT_S)


class Heartbeat:
    """Pings one URL, in a thread of its own from `start` to `close`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._changed = threading.Condition()
        self._start_due = False
        self._outcome: str | None = None
        self._running = False
        self._closed = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="heartbeat", daemon=True)
        #: What went wrong with the last ping, "" where it arrived.
        self.failure = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def tell(self, event: Event) -> None:
        """Something happened; never blocks."""
        with self._changed:
            if isinstance(event, OperationProgressed) and event.progress.operation == _SAVE:
                if self._running:
                    return
                self._running = self._start_due = True
            elif isinstance(event, CheckpointCreated):
                self._running, self._outcome = False, SUCCESS
            elif isinstance(event, OperationFailed) and event.operation == _SAVE:
                self._running, self._outcome = False, FAIL
            else:
                return
            self._changed.notify()

    def close(self, timeout_s: float) -> bool:
        """Send what waits, then end; False where `timeout_s` passed first."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._ending.set()
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while (what := self._next()) is not None:
            failure = ""
            for attempt in range(ATTEMPTS_MAX):
                if attempt and self._ending.wait(PAUSE_S):
                    break
                try:
                    failure = ping(self._url, what)
                except Exception as error:  # noqa: BLE001 - whatever it is, the heartbeat must not end in silence
                    _LOG.exception("the heartbeat failed")
                    failure = type(error).__name__
                if not failure:
                    break
            if failure and failure != self.failure:
                _LOG.warning("the heartbeat did not arrive: %s", failure)
            self.failure = failure

    def _next(self) -> str | None:
        with self._changed:
            while not self._start_due and self._outcome is None and not self._closed:
                self._changed.wait()
            if self._start_due:
                self._start_due = False
                return START
            what, self._outcome = self._outcome, None
            return what
