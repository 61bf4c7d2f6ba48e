"""Seams whose random bytes and clock are the same in every run, for vectors that pin a format."""

from __future__ import annotations

import dataclasses
import hashlib

from maos_ckpt.seams import SYSTEM, Seams, SystemClock


class Numbered:
    """Bytes that only their position decides."""

    def __init__(self) -> None:
        self._next = 0

    def token(self, length: int) -> bytes:
        self._next += 1
        return hashlib.shake_128(self._next.to_bytes(8, "big")).digest(length)


class Stopped(SystemClock):
    """A wall clock that stands still."""

    def now_ms(self) -> int:
        return 1_790_000_000_000


def numbered_seams() -> Seams:
    return dataclasses.replace(SYSTEM, random=Numbered(), clock=Stopped())
