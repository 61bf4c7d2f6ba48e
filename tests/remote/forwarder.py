"""What `ssh -L` does: a port, or a socket, whose connections go on to the Unix socket of an engine; and can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

_PIECE = 1 << 16


class Forwarder:
    """Forwards to `target` from a loopback port, or from the Unix socket `at`; a context manager."""

    def __init__(self, target: Path, at: Path | None = None) -> None:
        self.target = target
        self._at = at
        self._port = 0
        self._listening: socket.socket | None = None
        self._lock = threading.Lock()
        self._pairs: list[socket.socket] = []
        self.accepted = 0
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Take connections, again at the same address after `cut`."""
        if self._at is not None:
            self._at.unlink(missing_ok=True)
            made = socket.socket(socket.AF_UNIX)
            made.bind(str(self._at))
        else:
            made = socket.socket()
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(("127.0.0.1", self._port))
            self._port = made.getsockname()[1]
        made.listen(128)
        self._listening = made
        threading.Thread(target=self._accept, args=(made,), daemon=True).start()

    def drop(self) -> None:
        """Break every connection; new ones are taken."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for one in pairs:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Break every connection, and take no more."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        self.drop()

    def __enter__(self) -> Forwarder:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(str(self.target))
            except OSError:
                near.close()
                far.close()
                continue
            with self._lock:
                self.accepted += 1
                self._pairs += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                sink.sendall(piece)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
