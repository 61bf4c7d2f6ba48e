"""An HTTP proxy before a real S3 server that spoils what a test tells it to spoil."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Exchange:
    """One request on its way, and the answer once there is one."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 0
    answer_headers: list[tuple[str, str]] = field(default_factory=list)
    answer: bytes = b""
    #: What goes over the wire of the answer, in bytes of its body; the connection then ends.
    cut_at: int | None = None


class Dropped(Exception):
    """Raised by an order: the connection ends without an answer."""


Order = Callable[[Exchange, Callable[[], None]], None]


def lose(exchange: Exchange, forward: Callable[[], None]) -> None:
    """The server carries it out; the answer never arrives."""
    forward()
    raise Dropped


def drop(exchange: Exchange, forward: Callable[[], None]) -> None:
    """The request never reaches the server."""
    raise Dropped


def cut(exchange: Exchange, forward: Callable[[], None]) -> None:
    """Half of the answer's body arrives."""
    forward()
    exchange.cut_at = len(exchange.answer) // 2


def flip(exchange: Exchange, forward: Callable[[], None]) -> None:
    """One bit of the answer's body is another one."""
    forward()
    exchange.answer = bytes([exchange.answer[0] ^ 1]) + exchange.answer[1:]


def say(status: int, body: bytes, **headers: str) -> Order:
    """Answer this, without asking the server."""

    def order(exchange: Exchange, forward: Callable[[], None]) -> None:
        exchange.status, exchange.answer = status, b"" if exchange.method == "HEAD" else body
        exchange.answer_headers = [(key.replace("_", "-"), value) for key, value in headers.items()]

    return order


def refuse(status: int, code: str, more: str = "", **headers: str) -> Order:
    """Answer as S3 does for an error."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no AKIASECRET</Message>{more}</Error>"
    return say(status, body.encode(), Content_Type="application/xml", **headers)


def html(status: int) -> Order:
    """Answer as a proxy's own page does; it is well-formed, so that it passes for XML."""
    return say(status, b"<html><body><h1>Please sign in</h1></body></html>", Content_Type="text/html")


def without(header: str) -> Order:
    """Pass the request on without one of its headers, as a store that ignores it would take it."""

    def order(exchange: Exchange, forward: Callable[[], None]) -> None:
        exchange.headers = {key: value for key, value in exchange.headers.items() if key.lower() != header.lower()}
        forward()

    return order


class Proxy:
    """The orders, and what came by. Orders are asked in turn; the first that matches decides."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.endpoint = ""
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self._orders: list[tuple[str, str, Order, int]] = []
        self._lock = threading.Lock()

    def order(self, method: str, text: str, order: Order, times: int = 1_000_000) -> None:
        """Do `order` to the next `times` requests of this method whose path and query hold `text`."""
        with self._lock:
            self._orders.append((method, text, order, times))

    def clear(self) -> None:
        with self._lock:
            self._orders.clear()

    def count(self, method: str, text: str = "") -> int:
        """How many such requests came by."""
        with self._lock:
            return sum(one == method and text in path for one, path, _headers in self.seen)

    def _due(self, exchange: Exchange) -> Order | None:
        with self._lock:
            self.seen.append((exchange.method, exchange.path, exchange.headers))
            for index, (method, text, order, times) in enumerate(self._orders):
                if method == exchange.method and text in exchange.path and times:
                    self._orders[index] = (method, text, order, times - 1)
                    return order
        return None

    def run(self, exchange: Exchange) -> None:
        order = self._due(exchange)
        if order is None:
            self.forward(exchange)
        else:
            order(exchange, lambda: self.forward(exchange))

    def forward(self, exchange: Exchange) -> None:
        connection = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            connection.request(exchange.method, exchange.path, exchange.body, exchange.headers)
            response = connection.getresponse()
            exchange.status, exchange.answer = response.status, response.read()
            exchange.answer_headers = response.getheaders()
        finally:
            connection.close()


@contextmanager
def proxy_before(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """A proxy on the loopback before the server at `upstream`; with `tls` it speaks HTTPS to its clients."""
    proxy = Proxy(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            exchange = Exchange(self.command, self.path, dict(self.headers.items()), body)
            try:
                proxy.run(exchange)
            except Dropped:
                self.close_connection = True
                return
            self._answer(exchange)

        def _answer(self, exchange: Exchange) -> None:
            self.send_response_only(exchange.status)
            length = str(len(exchange.answer))
            for key, value in exchange.answer_headers:
                if key.lower() == "content-length":
                    length = value
                elif key.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(key, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(exchange.answer[: exchange.cut_at])
            self.close_connection = self.close_connection or exchange.cut_at is not None

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handle

        def log_message(self, format: str, *arguments: Any) -> None:
            """The tests say what they need to know."""

    class QuietServer(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that gave up is what some tests are about."""

        def shutdown_request(self, request: Any) -> None:
            if isinstance(request, socket.socket):
                super().shutdown_request(request)

    server = QuietServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    proxy.endpoint = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="s3-proxy", daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
