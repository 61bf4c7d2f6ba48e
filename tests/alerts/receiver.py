"""A real HTTP server that hooks send to: it can fail, hang, drip, redirect, and keeps what came."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: What the server does with its next requests: a status, or one of these.
HANG = -1
DRIP = -2
CLOSE = -3
GARBAGE = -4


@dataclass(frozen=True)
class Came:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """The server: `answers` are used up first, then `then` for ever."""

    answers: list[int] = field(default_factory=list)
    then: int = 204
    came: list[Came] = field(default_factory=list)
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    ending: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook/token-that-is-secret"

    def took(self) -> list[Came]:
        with self.lock:
            return list(self.came)

    def wait_for(self, count: int, within_s: float = 20.0) -> list[Came]:
        """Wait until so many requests came."""
        return self.wait_until(lambda came: len(came) >= count, within_s)

    def wait_until(self, condition: Callable[[list[Came]], bool], within_s: float = 20.0) -> list[Came]:
        deadline_s = time.monotonic() + within_s
        while not condition(self.took()):
            assert time.monotonic() < deadline_s, self.took()
            time.sleep(0.01)
        return self.took()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("content-length") or 0)
        body = handler.rfile.read(length)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self.lock:
            self.came.append(Came(handler.command, handler.path, headers, body))
            what = self.answers.pop(0) if self.answers else self.then
        handler.close_connection = True
        with contextlib.suppress(OSError):
            self._do(handler, what)

    def _do(self, handler: BaseHTTPRequestHandler, what: int) -> None:
        if what == HANG:
            self.ending.wait(30)
        elif what == DRIP:
            # Each byte comes in time; the whole never does.
            for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 1000:
                if self.ending.wait(0.1):
                    return
                handler.wfile.write(bytes([byte]))
        elif what == GARBAGE:
            handler.wfile.write(b"\x00\xff this is no HTTP\r\n\r\n" * 10)
        elif what != CLOSE:
            handler.send_response(what)
            if what == 302:
                handler.send_header("location", f"http://127.0.0.1:{self.port}/elsewhere")
            handler.send_header("content-length", "0")
            handler.end_headers()


@contextlib.contextmanager
def receiver(*answers: int, then: int = 204) -> Iterator[Receiver]:
    """A server on a free port of this machine."""
    found = Receiver(list(answers), then)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            found.answer(self)

        def do_GET(self) -> None:
            found.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.ending.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
