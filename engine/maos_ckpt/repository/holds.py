"""Holds: checkpoints that somebody is looking at just now, so that retention leaves them alone for a while.

A small file below `cache/holds/` for each holder, so that a hold counts between processes: a plan that one command
showed keeps its checkpoint from the retention of an engine beside it. Expendable: where it cannot be written nothing is
held, and what was held by a process that died runs out by itself.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.repository.repository import Repository

_LOG = logging.getLogger(__name__)
#: How long a hold lasts unless it is renewed.
HOLD_S = 15 * 60
#: Checkpoints that one holder holds at most; a screen shows fewer.
HELD_MAX = 1000
_BYTES_MAX = 1 << 20
_ON_SCREEN = "shown on a console"
_PLANNED = "a plan of it was shown lately"


class _Hold(msgspec.Struct, frozen=True):
    """`until_ms` is wall time; `why` is what retention gives as its reason."""

    until_ms: int
    why: str
    checkpoints: list[str]


def hold_shown(repository: Repository, screen: str, checkpoints: Iterable[str]) -> None:
    """Hold the checkpoints (full ids) on a screen, in place of what that screen held before.

    Args:
        screen: tells one screen from another; letters, digits, `-`.
    """
    _write(repository, f"screen-{screen}", _ON_SCREEN, sorted(checkpoints)[:HELD_MAX])


def hold_planned(repository: Repository, checkpoint: str) -> None:
    """Hold a checkpoint for which a recovery is being planned."""
    _write(repository, f"plan-{checkpoint}", _PLANNED, [checkpoint])


def held(repository: Repository) -> dict[str, str]:
    """What is held now: id → why. The files of holds that ran out are removed, where this may write."""
    found: dict[str, str] = {}
    now_ms = repository.seams.clock.now_ms()
    for path in _directory(repository).glob("[!.]*.json"):
        hold = _read(path)
        # One that would last longer than holds do was written before the clock was set back.
        if hold is not None and now_ms < hold.until_ms <= now_ms + HOLD_S * 1000:
            found.update(dict.fromkeys(hold.checkpoints, hold.why))
        elif not repository.read_only:
            with contextlib.suppress(OSError):
                repository.seams.fs.unlink(path)
    return found


def _directory(repository: Repository) -> Path:
    return repository.path / "cache" / "holds"


def _read(path: Path) -> _Hold | None:
    with contextlib.suppress(OSError, *UNDECODABLE), path.open("rb") as file:
        return msgspec.json.decode(file.read(_BYTES_MAX), type=_Hold)
    return None


def _write(repository: Repository, holder: str, why: str, checkpoints: list[str]) -> None:
    if repository.read_only:
        return
    path = _directory(repository) / f"{holder}.json"
    # Not in `tmp`: the next holder of the lease sweeps that.
    temporary = path.with_name(f".{holder}-{repository.seams.random.token(4).hex()}")
    fs = repository.seams.fs
    try:
        if not checkpoints:
            fs.unlink(path)
            return
        path.parent.mkdir(mode=0o700, exist_ok=True)
        until_ms = repository.seams.clock.now_ms() + HOLD_S * 1000
        fd = fs.create(temporary)
        try:
            fs.write(fd, msgspec.json.encode(_Hold(until_ms, why, checkpoints)))
        finally:
            fs.close(fd)
        # Not synced: a power cut also ends whoever was looking.
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fs.unlink(temporary)
        _LOG.warning("retention will not know that these checkpoints are being looked at: %s", error)
