"""`python -m maos_ckpt.api.probe REPOSITORY`: whether the engine of a repository answers, for a container's health
check; the standard library alone, since it runs every minute."""

from __future__ import annotations

import http.client
import socket
import sys
from pathlib import Path

from maos_ckpt.api.places import find_socket

_TIMEOUT_S = 5.0
_PATH = "/api/checkpoint/health"
_BODY_BYTES_MAX = 65_536


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path))


def probe(repository: Path) -> tuple[bool, str]:
    """Whether the engine of a repository answers that it is well, and what it said."""
    path = find_socket(repository)
    if path is None:
        return False, "no engine listens"
    connection = _Connection(path)
    try:
        connection.request("GET", _PATH)
        answer = connection.getresponse()
        return answer.status == http.client.OK, answer.read(_BODY_BYTES_MAX).decode("ascii", "replace")
    except (OSError, http.client.HTTPException) as error:
        return False, f"no answer: {error}"
    finally:
        connection.close()


def main() -> int:
    """0 where all is well, 1 where not, 2 where it was called in another way."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m maos_ckpt.api.probe REPOSITORY\n")
        return 2
    well, said = probe(Path(sys.argv[1]))
    sys.stdout.write(f"{said}\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
