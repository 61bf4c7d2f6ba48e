"""Whose state a repository holds."""

from __future__ import annotations

import os
from pathlib import Path

from maos_ckpt.errors import ForeignRepositoryError
from maos_ckpt.sources.several import database_spec


def check_source(repository: Path, owner: str, source: str) -> None:
    """Look whether the repository of `owner` may be used with `source` (canonical specs).

    One that lies beside its source belongs to it wherever both were moved to together. Providers may come to a system
    with a database and go from it: every checkpoint says what it was taken of.

    Raises:
        ForeignRepositoryError: it belongs to another source.
    """
    known, now = database_spec(owner), database_spec(source)
    if owner != source and (not known or (known != now and not _moved_along(repository, known, now))):
        raise ForeignRepositoryError(
            f"The repository at {repository} belongs to {owner}, not to {source}.",
            kept="Nothing was changed.",
            hint=_way_out(repository, owner, source),
            owner=owner,
            source=source,
        )


def _way_out(repository: Path, owner: str, source: str) -> str:
    another = "If it is another one, name another --repo, or a system of its own with --system."
    (kind, _, before), (now_kind, _, now) = database_spec(owner).partition(":"), database_spec(source).partition(":")
    if kind != now_kind or kind != "maos":
        return f"Name the right source with --source. {another}"
    if os.path.lexists(before):
        return f"If this MAOS took the place of that one, rename {before} or delete it, and try again. {another}"
    return (
        f"If this MAOS is that one, moved, let its repository lie beside it: {Path(now) / repository.name}. {another}"
    )


def _moved_along(repository: Path, owner: str, source: str) -> bool:
    (kind, _, before), (now_kind, _, now) = owner.partition(":"), source.partition(":")
    beside = Path(now) if kind == "maos" else Path(now).parent
    same_name = kind == "maos" or Path(before).name == Path(now).name
    return kind == now_kind and same_name and repository.parent == beside and not os.path.lexists(before)
