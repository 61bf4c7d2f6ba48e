"""What a source is: something that can open a cut, and that can take records back.

A *cut* is a consistent frozen view. Opening one must not be felt by the owner of the state: the adapters keep locks
inside `LOCK_BUDGET_S` and give up at `LOCK_STOP_S`, and nothing is parsed while a lock is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from maos_ckpt.codec.values import encode_key
from maos_ckpt.model import Descriptor, MissingPart, Row

if TYPE_CHECKING:
    from maos_ckpt.sources.change import Change
    from maos_ckpt.sources.sqlite.live import Held

#: A lock on a live source should be held no longer than this; longer is noted in the manifest.
LOCK_BUDGET_S = 0.5
#: A lock held this long is given up and the capture fails, to be tried again later.
LOCK_STOP_S = 2.5
#: How long to wait for a source that somebody else keeps locked.
LOCK_WAIT_S = 10.0
#: Largest memo a cut may ask to be kept.
MEMO_BYTES_MAX = 4 << 20


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Replace every record with `low <= key < high` (encoded keys) by `rows`, which are in key order."""

    low: bytes
    high: bytes
    rows: tuple[Row, ...]


def record_key(descriptor: Descriptor, row: Row) -> bytes:
    """The encoded key of a whole row (`keys + columns`).

    SQLite lets a primary key hold NULL more than once; such a row's key also carries its hidden rowid.
    """
    parts = row[: len(descriptor.keys)]
    if descriptor.rowid and None in parts:
        parts = (*parts, row[len(descriptor.keys)])
    return encode_key(parts)


class Pause(msgspec.Struct, frozen=True):
    """How long hooks held the system still for a cut. `expired`: it was let go on earlier than asked, since a bound had
    passed; `note` says what else went wrong, or ""."""

    held: bool = False
    pause_s: float = 0.0
    expired: bool = False
    note: str = ""


NOT_HELD = Pause()


class Cut(Protocol):
    """A frozen view over one source (or several, opened together)."""

    @property
    def lock_s(self) -> float:
        """Longest time a lock on live state was held."""
        ...

    @property
    def skew_s(self) -> float:
        """Time between the first and the last opening."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What an operator should know of this cut."""
        ...

    @property
    def pause(self) -> Pause:
        """How the system was held still while all was opened."""
        ...

    @property
    def missing(self) -> tuple[MissingPart, ...]:
        """What could not be captured, and so has no descriptor."""
        ...

    @property
    def memo(self) -> bytes:
        """What the source wants to be shown next time, to read only what changed; opaque, at most `MEMO_BYTES_MAX`."""
        ...

    def descriptors(self) -> list[Descriptor]:
        """The collections, in a fixed order."""
        ...

    def rows(self, descriptor: Descriptor, *, sort: bool = False) -> Iterator[list[Row]]:
        """All records of a collection as `keys + columns` tuples, in batches, in key order.

        The order is that of `codec.values.encode_key`. A source that delivers by an index whose order may differ is
        asked again with `sort=True` when a batch turns out not to be in order; then it must sort.
        """
        ...

    def ordered(self, descriptor: Descriptor) -> bool:
        """Whether `rows` without `sort` surely delivers in key order (integer or BINARY text keys of one type)."""
        ...

    def changed_ranges(self, descriptor: Descriptor, memo: bytes, kept: Path | None = None) -> list[KeyRange] | None:
        """What to replace in the collection as it was when `memo` was made; None asks for a full read.

        Args:
            kept: the directory that `keep` had when it made the memo; None where only the memo may be used.
        """
        ...

    def changed_bytes(self, memo: bytes, kept: Path) -> int | None:
        """About how many bytes of live state changed since `memo` was made; None where only a full read can tell."""
        ...

    def count(self, descriptor: Descriptor) -> int | None:
        """How many records the collection has, to check what `changed_ranges` led to; None where it cannot be told."""
        ...

    def keep(self, directory: Path) -> bytes:
        """Leave in `directory` what the next cut can compare itself with, and return the memo that names it.

        The last act on a cut whose state has been committed, by the one process that may write there. It replaces what
        an earlier cut left, and a failure only means that less is kept.
        """
        ...

    def close(self) -> None:
        """Release files; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class FilesWritten:
    """What a recovery did to files. `skipped` names files left alone, with the reason; `resume_commands` are shell
    lines that continue the agents whose transcripts were put back."""

    files: int = 0
    skipped: tuple[str, ...] = ()
    resume_commands: tuple[str, ...] = ()


class Source(Protocol):
    """One place where state lives."""

    @property
    def spec(self) -> str:
        """The canonical spec with absolute paths, for example `maos:/srv/team`."""
        ...

    def token(self) -> bytes:
        """A fingerprint of the live state without a lock: equal tokens, equal state. b"" means: cannot tell."""
        ...

    def bytes_hint(self) -> int:
        """About how many bytes the live state takes now, at the cost of a look at its files; 0 where it cannot tell."""
        ...

    @property
    def database(self) -> Path | None:
        """The SQLite file that holds (part of) this state, whether it exists now or not; None where there is none."""
        ...

    def without_database(self) -> Source:
        """The same source with its database counting as not there: one that is damaged and is to be built anew."""
        ...

    def write_files(self, changes: Iterable[Change], progress: Callable[[int], None]) -> FilesWritten:
        """Put files back, each replaced as a whole and durably; changes of other kinds are passed over.

        Args:
            changes: in the order of a plan: all changes of one collection together, in key order.
            progress: called with the number of files written so far.
        """
        ...

    def open_cut(self, directory: Path, held: Held | None = None) -> Cut:
        """Freeze a view now; private files go below `directory`.

        Args:
            held: the caller holds the database for a recovery and has written nothing to it yet; the view is the state
                that the recovery is about to replace.

        Raises:
            SourceError: missing, locked beyond `LOCK_WAIT_S`, corrupt, or not what the spec says.
            PermissionRefusedError: not readable.
        """
        ...
