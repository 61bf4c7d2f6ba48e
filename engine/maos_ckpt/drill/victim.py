"""A recovery that kills itself at a given moment: `python -m maos_ckpt.drill.victim`, an `Order` on standard input."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import msgspec

from maos_ckpt.codec.secret import Secret
from maos_ckpt.drill.scratch import Place
from maos_ckpt.errors import CkptError
from maos_ckpt.model import Progress, Selection
from maos_ckpt.nobody import quiet
from maos_ckpt.recovery.apply import recover
from maos_ckpt.recovery.request import Request
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.base import FilesWritten, Source
from maos_ckpt.sources.change import Change

#: When it dies, in words.
MOMENTS = {"commit": "just before its commit", "files": "after its commit, before the files"}
_ORDER_BYTES_MAX = 1 << 20


class Order(msgspec.Struct, frozen=True):
    """Recover `checkpoint` in the scratch copy at `place` (`spec` is the original's source), and die at `moment`."""

    place: str
    spec: str
    checkpoint: str
    master: bytes | None
    moment: str


def _die() -> NoReturn:
    signal.raise_signal(signal.SIGKILL)
    raise AssertionError("unreachable")


def _die_before_files(source: Source) -> Source:
    """Let the source die when it is asked to put files back: the database is committed by then."""

    def write_files(changes: Iterable[Change], progress: Callable[[int], None]) -> FilesWritten:
        _die()

    source.write_files = write_files  # type: ignore[method-assign]
    return source


def main() -> int:
    """Carry out the order; comes back only where the moment did not come."""
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(_ORDER_BYTES_MAX), type=Order)
    seams, place = quiet(SYSTEM), Place(Path(order.place))

    def watch(step: Progress) -> None:
        if order.moment == step.phase == "commit":
            _die()

    master = None if order.master is None else Secret("master", order.master)
    source = place.source(order.spec, seams)
    if order.moment == "files":
        source = _die_before_files(source)
    try:
        with contextlib.closing(Repository.open(place.repository, seams, key=master)) as repository:
            request = Request(repository.resolve(order.checkpoint), Selection(), None, "drill: to be killed")
            with repository.lease("restore"):
                recover(repository, source, request, watch, seams)
    except CkptError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
