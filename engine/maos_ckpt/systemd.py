"""What a service manager is told: ready, reloading, stopping, alive (systemd's `sd_notify` protocol).

Without a manager that listens, nothing is sent.
"""

from __future__ import annotations

import contextlib
import socket

from maos_ckpt.environment import service_manager
from maos_ckpt.safe_text import safe_text

_STATUS_CHARACTERS_MAX = 200
#: A watchdog is to be stroked at least twice in the time that it waits.
_STROKES = 2


class Manager:
    """The service manager of this process.

    Args:
        address: the socket that it listens at, as a path or `@NAME`; empty where there is none.
        watchdog_s: it ends this process where it hears nothing for so long; 0 where it does not care.
    """

    def __init__(self, address: str, watchdog_s: float) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.stroke_s = watchdog_s / _STROKES if address else 0.0

    @classmethod
    def of_this_process(cls) -> Manager:
        """As the environment says."""
        address, watchdog_s = service_manager()
        return cls(address, watchdog_s)

    def ready(self, status: str) -> None:
        """The service has started, or has its new configuration."""
        self._send("READY=1", _status(status))

    def alive(self, status: str) -> None:
        """All is well."""
        self._send("WATCHDOG=1", _status(status))

    def reloading(self, now_s: float) -> None:
        """The configuration is read again; `now_s` is the monotonic clock."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(now_s * 1_000_000)}")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._send("STOPPING=1", _status(status))

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A manager that does not take it will say so in its own way.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), self._address)


def _status(text: str) -> str:
    return "STATUS=" + safe_text(text)[:_STATUS_CHARACTERS_MAX]
