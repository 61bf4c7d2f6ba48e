"""Counts what goes over the wire: every answer of S3 to this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from maos_ckpt.backends.s3_client import S3Client


@dataclass
class Traffic:
    """Requests by operation, and the bytes of bodies read, by the first part of the object's name."""

    requests: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return sum(self.requests.values())


@contextmanager
def counted() -> Iterator[Traffic]:
    traffic, send = Traffic(), S3Client._send

    def count(self: S3Client, operation: str, name: str, needs: tuple[str, ...], parameters: dict[str, Any]) -> Any:
        answer = send(self, operation, name, needs, parameters)
        traffic.requests[operation] += 1
        if operation == "get_object":
            traffic.bytes[name.partition("/")[0]] += int(answer["ContentLength"])
        return answer

    with patch.object(S3Client, "_send", count):
        yield traffic
