"""The folder of a home for what costs only time to lose; where it cannot be used, everything goes on without it."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.errors import CkptError

_LOG = logging.getLogger(__name__)
NAME = "cache"


def make_cache(home: Path) -> None:
    """See that there is a folder, in the place of whatever else has its name; that it fails shows at its use."""
    path = home / NAME
    with contextlib.suppress(OSError):
        if not path.is_dir():
            path.unlink(missing_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)


def writable_cache(home: Path) -> Path | None:
    """The folder, if files can be made in it now; with a warning where not."""
    path = home / NAME
    try:
        fd, name = tempfile.mkstemp(prefix=".try-", dir=path)
        os.close(fd)
        os.unlink(name)
    except OSError as error:
        # Where nothing can be written at all, that is what there is to say, and whoever writes says it.
        if os.access(home, os.W_OK):
            _LOG.warning("%s cannot be used (%s): everything works without it, but slower.", path, error.strerror)
        return None
    return path


def keep(backend: LocalBackend, name: str, data: bytes) -> None:
    """Put a file into the folder, in the place of one of its name; that it fails costs only time. The caller holds the
    lease: whoever takes it sweeps unfinished files."""
    fs, temporary = backend.seams.fs, backend.temporary()
    with contextlib.suppress(OSError, CkptError):
        fd = fs.create(temporary)
        try:
            fs.write(fd, data)
        finally:
            fs.close(fd)
        temporary.replace(backend.root / NAME / name)
