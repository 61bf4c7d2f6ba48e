"""Figures of journal files that are gone: `journal/figures.json`.

Before the oldest file of a journal makes room, its figures are added here, together with its SHA-256, by which a crash
between the two cannot make it count twice. A file that cannot be read costs history and nothing else.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import msgspec

from maos_ckpt.metrics.figures import Figures
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
NAME = "figures.json"
#: Far more than all slots can take.
_BYTES_MAX = 64 << 20


class Carried(msgspec.Struct):
    """Figures of files that are gone or about to go, and the digest (hex) of the last one that was added."""

    figures: Figures = msgspec.field(default_factory=Figures)
    digest: str = ""


def load(directory: Path) -> Carried:
    """What is carried in a journal's directory; nothing where that cannot be told."""
    try:
        with (directory / NAME).open("rb") as file:
            return msgspec.json.decode(file.read(_BYTES_MAX), type=Carried)
    except FileNotFoundError:
        return Carried()
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        _LOG.warning("the figures of the journal's older files cannot be read, metrics begin later: %s", error)
        return Carried()


def digest_of(data: bytes) -> str:
    """The digest that a file is known by."""
    return hashlib.sha256(data).hexdigest()


def store(directory: Path, carried: Carried, seams: Seams) -> None:
    """Keep it durably; raises `OSError`."""
    fs, temporary = seams.fs, directory / f".{NAME}.new"
    fs.unlink(temporary)
    fd = fs.create(temporary)
    try:
        fs.write(fd, msgspec.json.encode(carried))
        fs.sync(fd)
    finally:
        fs.close(fd)
    fs.publish(temporary, directory / NAME, replace=True)
