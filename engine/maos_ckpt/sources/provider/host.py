"""What the process does in which the providers live, for an operation that runs in another one (or in the same)."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from maos_ckpt.sources.base import Pause


class CapturedPart(msgspec.Struct, frozen=True):
    """What one provider holds: its component, the collection, the file of its records (`files.Record`), their number,
    its bytes, and SHA-256 over them; `missing` says why there is none, and then nothing else counts."""

    component: str
    collection: str
    path: str = ""
    records: int = 0
    size: int = 0
    digest: bytes = b""
    missing: str = ""


class Captured(msgspec.Struct, frozen=True):
    """What all providers hold; `first_s` and `last_s` are on the machine's monotonic clock: when the first was asked,
    and when the last one answered."""

    parts: tuple[CapturedPart, ...]
    first_s: float
    last_s: float


class Restored(msgspec.Struct, frozen=True):
    """What providers took back: how many of them, and what is to be said of those that did not."""

    providers: int = 0
    skipped: tuple[str, ...] = ()


class HostSession(Protocol):
    """One operation's talk with the process of the providers; `close` lets the system go on, whatever was begun.

    Every method may raise CkptError.
    """

    def hold(self, *, recovery: bool = False) -> None:
        """Hold the system still, where there are hooks for that; may be nested.

        Raises:
            SourceError: a hook failed or took too long, and the system goes on.
        """
        ...

    def let_go(self) -> Pause:
        """The opposite of `hold`; the outermost one lets the system go on."""
        ...

    def capture(self, directory: str) -> Captured:
        """Read all providers into files below a private directory that exists. What fails costs only its own part."""
        ...

    def restore(self, path: str) -> Restored:
        """Have providers take back what a file of `ObjectChange` says."""
        ...

    def close(self) -> None:
        """End; safe to call twice."""
        ...


class Host(Protocol):
    """A process that providers live in."""

    def session(self) -> HostSession:
        """Begin one operation's talk with it."""
        ...


class ObjectChange(msgspec.Struct, frozen=True, array_like=True):
    """One record to be put back: as it must be live now, and as it is to be; each is [value, form], None: not there."""

    component: str
    collection: str
    key: Any
    before: tuple[Any, str] | None
    after: tuple[Any, str] | None
