"""Several sources in one checkpoint: one system with a database at most, and the objects of programs.

Their spec is the specs of all, joined by ` + `, the one with the database first. All cuts are opened together, while
the hooks hold the system still where there are any. Collections keep the names that their source gives them: those of
providers are called `provider.NAME`, as no table of a MAOS is, and every other source has names of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from maos_ckpt.codec.values import decode_key
from maos_ckpt.errors import SourceError, UsageError
from maos_ckpt.model import COMPONENTS, CollectionKind, Descriptor, MissingPart, Row
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Cut, FilesWritten, KeyRange, Pause, Source
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.provider.files import FrameWriter
from maos_ckpt.sources.provider.host import HostSession, ObjectChange
from maos_ckpt.sources.provider.source import ProviderCut, held_value
from maos_ckpt.sources.sqlite.cut import EmptyCut
from maos_ckpt.sources.sqlite.live import Held

SEPARATOR: Final = " + "
PROVIDER: Final = "provider"
#: Kinds of source that hold a database; a recovery writes to one of them in one transaction.
_DATABASE_KINDS: Final = ("maos", "sqlite")

_MEMO: msgspec.msgpack.Decoder[tuple[bytes, bytes]] = msgspec.msgpack.Decoder(tuple[bytes, bytes])


def split_spec(spec: str) -> tuple[str, ...]:
    """The specs of the sources that a spec joins."""
    return tuple(spec.split(SEPARATOR)) if spec else ()


def join_specs(specs: Iterable[str]) -> str:
    """The spec of several sources (canonical specs).

    Raises:
        UsageError: two of them hold a database, one comes twice, or one cannot be joined with others.
    """
    found = list(specs)
    databases = [one for one in found if one.partition(":")[0] in _DATABASE_KINDS]
    hint = "Name one maos: or sqlite: source, and providers beside it."
    if len(databases) > 1:
        raise UsageError(
            "Two sources with a database cannot go into one checkpoint: a recovery writes one database at a time.",
            kept="Nothing was changed.",
            hint=hint,
            sources=databases,
        )
    if len(set(found)) < len(found):
        raise UsageError("A source is named twice.", kept="Nothing was changed.", hint=hint, sources=found)
    if len(found) > 1 and any(SEPARATOR in one for one in found):
        raise UsageError(
            f"A source whose path holds {SEPARATOR!r} cannot be joined with others.",
            kept="Nothing was changed.",
            hint="Rename the directory.",
        )
    return SEPARATOR.join(sorted(found, key=lambda one: one not in databases))


def database_spec(spec: str) -> str:
    """The one of several sources that holds a database, or ""."""
    first = spec.split(f"{SEPARATOR}{PROVIDER}:", 1)[0]
    return first if first.partition(":")[0] in _DATABASE_KINDS else ""


class SeveralSource:
    """See `Source`; one operation's view, since it talks with the providers' process for that operation alone.

    Args:
        spec: of all.
        base: the source with the database, if there is one.
        session: how to reach providers and hooks; `objects` says whether there are providers.
        scratch: where private files may be.
    """

    def __init__(
        self, spec: str, base: Source | None, session: HostSession, scratch: Path, seams: Seams, *, objects: bool
    ) -> None:
        self._spec = spec
        self._base = base
        self.session = session
        self._scratch = scratch
        self._seams = seams
        self._objects = objects

    @property
    def spec(self) -> str:
        """See `Source.spec`."""
        return self._spec

    @property
    def base(self) -> Source | None:
        """The source with the database, by itself."""
        return self._base

    def token(self) -> bytes:
        """See `Source.token`: whether objects changed is known only by reading them."""
        return b"" if self._objects or self._base is None else self._base.token()

    def bytes_hint(self) -> int:
        """See `Source.bytes_hint`."""
        return 0 if self._base is None else self._base.bytes_hint()

    @property
    def database(self) -> Path | None:
        """See `Source.database`."""
        return None if self._base is None else self._base.database

    def without_database(self) -> SeveralSource:
        """See `Source.without_database`."""
        base = None if self._base is None else self._base.without_database()
        return SeveralSource(self._spec, base, self.session, self._scratch, self._seams, objects=self._objects)

    def open_cut(self, directory: Path, held: Held | None = None) -> Cut:
        """See `Source.open_cut`.

        Raises:
            SourceError: the system could not be held still until all was opened; see also the sources themselves.
        """
        with contextlib.ExitStack() as failed:
            self.session.hold()
            try:
                # Objects first: reading them is all the work there is to do, while a database is only begun with.
                objects = None
                began_s = self._seams.clock.monotonic_s()
                if self._objects:
                    objects = failed.enter_context(
                        contextlib.closing(ProviderCut(self.session.capture(str(directory))))
                    )
                base = EmptyCut() if self._base is None else self._base.open_cut(directory, held)
                failed.callback(base.close)
                skew_s = self._seams.clock.monotonic_s() - began_s if objects is not None else base.skew_s
            finally:
                pause = self.session.let_go()
            if pause.expired:
                raise SourceError(
                    f"The system was let go on after {pause.pause_s:.1f} s, before all of it was captured.",
                    kept="Every checkpoint committed before is untouched; none was taken of a mixed state.",
                    hint="Raise barrier.hold_timeout_s, or find out what takes so long.",
                )
            failed.pop_all()
        return SeveralCut(base, objects, skew_s, pause)

    def write_files(self, changes: Iterable[Change], progress: Callable[[int], None]) -> FilesWritten:
        """See `Source.write_files`: files first, and then objects, all of a provider at once."""
        directory = self._scratch / f"cut-{os.getpid()}-{self._seams.random.token(8).hex()}"
        directory.mkdir(mode=0o700)
        try:
            path, stream = directory / "changes", iter(changes)
            with FrameWriter(path) as writer:
                files = _without_objects(stream, writer)
                written = FilesWritten() if self._base is None else self._base.write_files(files, progress)
                for _ in files:
                    pass
                if not writer.bytes:
                    return written
            restored = self.session.restore(str(path))
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        progress(written.files + restored.providers)
        return FilesWritten(
            written.files + restored.providers, (*written.skipped, *restored.skipped), written.resume_commands
        )


def _without_objects(changes: Iterator[Change], writer: FrameWriter) -> Iterator[Change]:
    """The changes of files; those of objects are written down."""
    for change in changes:
        one = change.descriptor
        if one.kind is not CollectionKind.OBJECTS:
            yield change
            continue
        (key,) = decode_key(change.key)
        before, after = held_value(one.columns, change.before), held_value(change.columns, change.after)
        writer.add(ObjectChange(one.component, one.name, key, before, after))


class SeveralCut:
    """See `Cut`: of a source with a database, of which there may be none, and of objects."""

    def __init__(self, base: Cut, objects: ProviderCut | None, skew_s: float, pause: Pause) -> None:
        self._base = base
        self._objects = objects
        self.skew_s = skew_s
        self.pause = pause

    def _of(self, descriptor: Descriptor) -> Cut:
        of_objects = descriptor.kind is CollectionKind.OBJECTS and self._objects is not None
        return self._objects if of_objects and self._objects is not None else self._base

    @property
    def lock_s(self) -> float:
        """See `Cut.lock_s`."""
        return self._base.lock_s

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Cut.notes`."""
        about = (self.pause.note,) if self.pause.note else ()
        return (*self._base.notes, *(f"{one.path} is missing: {one.reason}" for one in self.missing), *about)

    @property
    def missing(self) -> tuple[MissingPart, ...]:
        """See `Cut.missing`."""
        return () if self._objects is None else self._objects.missing

    @property
    def memo(self) -> bytes:
        """See `Cut.memo`."""
        return self._memo(self._base.memo)

    def _memo(self, base: bytes) -> bytes:
        return msgspec.msgpack.encode((base, b"" if self._objects is None else self._objects.memo))

    def _split(self, memo: bytes, descriptor: Descriptor) -> bytes:
        with contextlib.suppress(msgspec.DecodeError):
            return _MEMO.decode(memo)[descriptor.kind is CollectionKind.OBJECTS]
        return b""

    def descriptors(self) -> list[Descriptor]:
        """See `Cut.descriptors`; by component in the order of a recovery."""
        found = self._base.descriptors()
        found += [] if self._objects is None else self._objects.descriptors()
        order = {name: at for at, name in enumerate(COMPONENTS)}
        return sorted(found, key=lambda one: order.get(one.component, len(order)))

    def rows(self, descriptor: Descriptor, *, sort: bool = False) -> Iterator[list[Row]]:
        """See `Cut.rows`."""
        return self._of(descriptor).rows(descriptor, sort=sort)

    def ordered(self, descriptor: Descriptor) -> bool:
        """See `Cut.ordered`."""
        return self._of(descriptor).ordered(descriptor)

    def changed_ranges(self, descriptor: Descriptor, memo: bytes, kept: Path | None = None) -> list[KeyRange] | None:
        """See `Cut.changed_ranges`."""
        return self._of(descriptor).changed_ranges(descriptor, self._split(memo, descriptor), kept)

    def changed_bytes(self, memo: bytes, kept: Path) -> int | None:
        """See `Cut.changed_bytes`."""
        try:
            of_base, of_objects = _MEMO.decode(memo)
        except msgspec.DecodeError:
            return None
        found = self._base.changed_bytes(of_base, kept)
        objects = 0 if self._objects is None else self._objects.changed_bytes(of_objects, kept)
        return None if found is None or objects is None else found + objects

    def count(self, descriptor: Descriptor) -> int | None:
        """See `Cut.count`."""
        return self._of(descriptor).count(descriptor)

    def keep(self, directory: Path) -> bytes:
        """See `Cut.keep`."""
        return self._memo(self._base.keep(directory))

    def close(self) -> None:
        """See `Cut.close`."""
        if self._objects is not None:
            self._objects.close()
        self._base.close()
