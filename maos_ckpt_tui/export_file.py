"""Files that the console writes for the operator, on the console's own machine; never over one that is there."""

from __future__ import annotations

import os
from pathlib import Path

from maos_ckpt.errors import CkptError, ConflictError, StorageError


def write_new(path: Path, text: str) -> Path:
    """Write a new file, readable by its owner alone; returns its absolute path.

    Raises:
        ConflictError: there is one.
        StorageError: it cannot be written there.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise _refused(ConflictError, f"There is a file {path.name} in {path.parent.absolute()}.") from error
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise _refused(StorageError, f"{path.name} cannot be written in {path.parent.absolute()}: {why}.") from error
    return path.absolute()


def _refused(kind: type[CkptError], message: str) -> CkptError:
    return kind(message, kept="Nothing was written.", hint="Start the console in a directory that you may write to.")
