"""Errors for people (three lines) and for programs (one JSON object), and what becomes of an unexpected one."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import traceback

from maos_ckpt.cli.text import clip
from maos_ckpt.environment import log_file
from maos_ckpt.errors import CkptError, StorageError
from maos_ckpt.fs import raise_storage_error

#: The log of unexpected errors is begun anew beyond this size; one old one is kept.
LOG_BYTES_MAX = 1 << 20
#: A message may quote what was typed, or a record's key.
LINE_CHARACTERS_MAX = 2000
_OF_THE_MACHINE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)


def print_error(error: CkptError, *, as_json: bool) -> None:
    """One error on standard error."""
    if as_json:
        body = {
            "kind": error.kind,
            "message": error.message,
            "kept": error.kept,
            "hint": error.hint,
            "data": error.data,
        }
        text = json.dumps({"error": body}, default=str)
    else:
        lines = [f"error: {error.message}", error.kept, error.hint and f"hint: {error.hint}"]
        text = "\n".join(clip(line, LINE_CHARACTERS_MAX) for line in lines if line)
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:
        # Nobody can be told; the exit code still says it.
        return


def as_crash(error: Exception, arguments: list[str]) -> CkptError:
    """An unexpected error as one that can be shown: one sentence and where the details are."""
    logging.getLogger(__name__).debug("unexpected error", exc_info=error)
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        return _machine_error(error)
    path = _write_log(error, arguments)
    where = f"The details are in {path}." if path else "The details could not be written; add --log-level debug."
    return CkptError(
        f"Something unexpected went wrong ({type(error).__name__}).",
        kept="Every committed checkpoint is untouched.",
        hint=f"{where} Please report it.",
        log=path,
    )


def _machine_error(error: OSError) -> CkptError:
    """A refusal of the operating system that no one expected at that place; it is no fault of the program."""
    if error.filename is not None:
        try:
            raise_storage_error(error, str(error.filename))
        except CkptError as known:
            return known
    return StorageError(
        f"The output cannot be written: {os.strerror(error.errno or errno.EIO)}.",
        kept="Every committed checkpoint is untouched.",
        hint="Send the output somewhere else.",
    )


def _write_log(error: Exception, arguments: list[str]) -> str | None:
    path = log_file()
    # Only the command's words that are options: values may be anything.
    words = " ".join(word for word in arguments if word.startswith("-") or word.isalpha())
    text = "".join(traceback.format_exception(error))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".old.log"))
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"--- maos-ckpt {words}\n{text}")
    except OSError:
        return None
    return str(path)
