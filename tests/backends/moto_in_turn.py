"""moto's server, one conditional PUT at a time: it looks and writes in two steps, which S3 does not.

Several writers at the same moment would else all be told that they took a name.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto import server

_TURN = threading.Lock()
_Application = server.DomainDispatcherApplication


class InTurn(_Application):  # type: ignore[misc, valid-type]
    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH")
        answer: Iterable[bytes]
        if "HTTP_IF_NONE_MATCH" not in environ or not length:
            answer = super().__call__(environ, start_response)
            return answer
        # The body first: whoever sends it slowly keeps nobody else waiting.
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with _TURN:
            answer = super().__call__(environ, start_response)
        return answer


if __name__ == "__main__":
    server.DomainDispatcherApplication = InTurn
    server.main()
