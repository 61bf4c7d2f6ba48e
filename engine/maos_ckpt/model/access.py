"""What somebody may do through the API."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    """A right. Each includes reading, and `admin` includes all."""

    READ = "read"
    SAVE = "save"
    RECOVER = "recover"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)


def granted(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """Everything that these scopes allow."""
    given = frozenset(scopes)
    if Scope.ADMIN in given:
        return ALL_SCOPES
    return given | {Scope.READ} if given else given
