"""From a source's spec, as the command line writes it, to the source."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Final

from maos_ckpt.environment import expanded
from maos_ckpt.errors import UsageError
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.maos.layout import DATABASE_NAME, Layout
from maos_ckpt.sources.maos.source import MaosSource
from maos_ckpt.sources.sqlite.source import SqliteSource

_SCHEMES: Final = ("maos", "sqlite")
#: Named by the command-line contract, and not in this version.
_LATER: Final = ("dir", "redis", "postgresql")
_FORMS: Final = "maos:DIR, sqlite:PATH or provider:MODULE:ATTR"


def default_spec(cwd: Path) -> str | None:
    """The source to take where none is named: the working directory, where it holds a MAOS database."""
    return f"maos:{os.path.realpath(cwd)}" if (cwd / DATABASE_NAME).is_file() else None


def open_source(spec: str, *, claude_home: Path, seams: Seams, allow_missing: bool = False) -> Source:
    """The source that `spec` names; nothing is locked or read but a file's header.

    `claude_home` is where the transcripts of a MAOS are. With `allow_missing` a source that does not exist is opened
    all the same, as the target of a recovery.

    Raises:
        UsageError: not a spec, or a kind that this version does not have.
        SourceError: nothing there, or not what the spec says.
        PermissionRefusedError: not readable.
    """
    scheme, colon, rest = spec.partition(":")
    if not colon or scheme not in _SCHEMES:
        raise _unknown(spec, scheme if colon else "")
    if not rest or "\0" in rest:
        raise UsageError(f"The source {scheme}: names no path.", hint=f"Write {_FORMS}.", spec=spec)
    path = expanded(rest)
    source: MaosSource | SqliteSource
    if scheme == "maos":
        source = MaosSource(Layout.of(path, claude_home), seams, allow_missing=allow_missing)
    else:
        source = SqliteSource(path, seams, allow_missing=allow_missing)
    if path.exists() or not allow_missing:
        source.check()
    return source


def _unknown(spec: str, scheme: str) -> UsageError:
    if scheme == "provider":
        return UsageError("A provider lives in a program of its own and has no files.", hint=f"Write {_FORMS}.")
    if scheme in _LATER:
        return UsageError(f"This version has no {scheme}: sources yet.", hint=f"Use {_FORMS}.", spec=scheme)
    nearest = difflib.get_close_matches(scheme.lower(), (*_SCHEMES, "provider", *_LATER), 1, 0.5)
    if nearest:
        return UsageError(
            f"There is no kind of source {scheme!r}; the nearest is {nearest[0]!r}.",
            hint=f"Write {_FORMS}.",
            nearest=nearest[0],
        )
    # The rest of an unknown spec is left out of the message: it may be an address with a password in it.
    what = f"There is no kind of source {scheme!r}." if scheme.isalpha() else "The source names no kind."
    return UsageError(what, hint=f"Write {_FORMS}.")
