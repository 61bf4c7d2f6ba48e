"""Where else than into the live state a recovery can go."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from maos_ckpt.errors import CkptError, ConflictError, PermissionRefusedError, StorageError, UsageError

FORMS: Final = "sqlite:NEW.db, maos:DIR or dir:PATH"


def parse_place(to: str, live: Path | None) -> tuple[str, Path]:
    """What `to`, one of `FORMS` with an absolute path, names: its kind and its real path.

    Args:
        live: the live database.

    Raises:
        UsageError: it is none of them.
        ConflictError: it is where the live state belongs.
    """
    kind, _, rest = to.partition(":")
    if kind not in ("sqlite", "maos", "dir") or not os.path.isabs(rest) or "\0" in rest:
        raise UsageError(f"{to!r} names no place to recover to.", kept="Nothing was written.", hint=f"Write {FORMS}.")
    path = Path(os.path.realpath(rest))
    if live is not None and path == Path(os.path.realpath(live if kind == "sqlite" else live.parent)):
        raise ConflictError(
            f"{path} is where the live state belongs.",
            kept="Nothing was written.",
            hint="Leave out --to to recover the live state, or name another place.",
            path=str(path),
        )
    return kind, path


def unwritable(error: OSError, path: Path) -> CkptError:
    """The error for a place that nothing can be built at."""
    refused = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    return (PermissionRefusedError if refused else StorageError)(
        f"Nothing can be built at {path}: {os.strerror(error.errno) if error.errno else error}.",
        kept="The live state and the checkpoints were not touched.",
        hint="Name another place with --to."
        if error.errno not in (errno.ENOSPC, errno.EDQUOT)
        else "Free space there, or name another place with --to.",
        path=str(path),
    )
