"""The source `maos:DIR`: everything that a MAOS working directory means, as one state."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from maos_ckpt.codec.values import display_value
from maos_ckpt.errors import CkptError, SourceError
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Cut, FilesWritten
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.maos.cut import FoundFile, MaosCut
from maos_ckpt.sources.maos.files import (
    FILE_BYTES_MAX,
    FILES_BYTES_MAX,
    FRESH_NS,
    FileEntry,
    digest,
    linked,
    list_files,
    look_at,
    read_settled,
)
from maos_ckpt.sources.maos.layout import DATABASE_NAME, ROOT_HOME, FilePlace, Layout, file_component
from maos_ckpt.sources.maos.transcripts import Transcripts, list_transcripts
from maos_ckpt.sources.maos.write_files import write_files
from maos_ckpt.sources.sqlite import faults, probe
from maos_ckpt.sources.sqlite.cut import DatabaseImage
from maos_ckpt.sources.sqlite.live import Held

_NO_DATABASE = b"none"
#: The clock tells whole milliseconds, so that an instant may be read as this much earlier than it is.
_CLOCK_STEP_NS = 1_000_000


@dataclass(slots=True)
class _Look:
    """What there is besides the database at one instant."""

    transcripts: list[FileEntry] = field(default_factory=list)
    files: list[tuple[FilePlace, FileEntry]] = field(default_factory=list)
    now_ns: int = 0
    ended_s: float = 0.0

    @property
    def belongs(self) -> bool:
        """Whether something is there that is this MAOS's own."""
        return bool(self.transcripts) or any(place.root != ROOT_HOME for place, _ in self.files)

    @property
    def fresh(self) -> bool:
        """Whether a file changed so lately that its time could hide another change."""
        return any(abs(self.now_ns - entry.mtime_ns) < FRESH_NS for _, entry in self.files)


class MaosSource:
    """One MAOS. With `allow_missing`, a MAOS that is not there (yet, or any more) counts as an empty state, and a
    damaged database is no error yet; with `ignored` the database counts as not there, whatever is."""

    def __init__(self, layout: Layout, seams: Seams, *, allow_missing: bool = False, ignored: bool = False) -> None:
        self.layout = layout
        self.seams = seams
        self._allow_missing = allow_missing
        self._ignored = ignored

    @property
    def spec(self) -> str:
        """See `Source.spec`."""
        return f"maos:{self.layout.directory}"

    def check(self) -> None:
        """Look, without a lock, whether there is a MAOS.

        Raises:
            SourceError, PermissionRefusedError: there is nothing that could be captured.
        """
        directory = self.layout.directory
        if directory.is_file():
            raise SourceError(
                f"{directory} is a file, not a MAOS working directory.",
                kept=faults.KEPT,
                hint="Name its directory with maos:DIR, or any SQLite file with sqlite:PATH.",
                path=str(directory),
            )
        try:
            os.listdir(directory)
        except OSError as error:
            raise faults.os_fault(error, directory) from error
        if self._has_database():
            with contextlib.suppress(*((faults.DamagedError,) if self._allow_missing else ())):
                probe.read_header(self.layout.database)
        elif not self._allow_missing and not self._look().belongs:
            raise self._no_maos()

    def token(self) -> bytes:
        """See `Source.token`."""
        try:
            database = probe.fingerprint(self.layout.database) if self._has_database() else _NO_DATABASE
            look = self._look()
            if look.fresh:
                # Within one tick of the kernel's clock a file can change twice and keep its time: let the tick pass.
                self.seams.clock.sleep((FRESH_NS + _CLOCK_STEP_NS) / 1e9)
                look = self._look()
        except CkptError:
            return b""
        if look.fresh or not database or not self._is_readable(look):
            return b""
        marks = [repr(entry).encode() for entry in look.transcripts]
        marks += [repr((place.root, entry)).encode() for place, entry in look.files]
        return digest(iter([database, *marks]))

    def _is_readable(self, look: _Look) -> bool:
        """Whether a cut could read all files: one that leaves some out has to say so every time."""
        # Looked up once: each time follows its links anew, and transcripts come to hundreds.
        projects = os.fsencode(self.layout.projects)
        paths = [os.path.join(projects, entry.path) for entry in look.transcripts]
        paths += [os.path.join(os.fsencode(self.layout.root(place.root)), entry.path) for place, entry in look.files]
        return all(os.access(path, os.R_OK, effective_ids=True) for path in paths)

    def bytes_hint(self) -> int:
        """See `Source.bytes_hint`."""
        try:
            transcripts_bytes = sum(one.size for one in list_transcripts(self.layout))
            return transcripts_bytes + (os.stat(self.layout.database).st_size if self._has_database() else 0)
        except (OSError, CkptError):
            return 0

    @property
    def database(self) -> Path:
        """See `Source.database`."""
        return self.layout.database

    def without_database(self) -> MaosSource:
        """See `Source.without_database`."""
        return MaosSource(self.layout, self.seams, allow_missing=True, ignored=True)

    def write_files(self, changes: Iterable[Change], progress: Callable[[int], None]) -> FilesWritten:
        """See `Source.write_files`."""
        return write_files(self.layout, self.seams, changes, progress)

    def open_cut(self, directory: Path, held: Held | None = None) -> Cut:
        """See `Source.open_cut`.

        Raises:
            SourceError, PermissionRefusedError: see `capture_image`; no MAOS in the directory.
            StorageError: no space for the private image of the database.
        """
        looks: list[_Look] = []
        database = None
        began_s = self.seams.clock.monotonic_s()
        if self._has_database():
            database = DatabaseImage.capture(
                self.layout.database, directory, self.seams, lambda: looks.append(self._look()), held
            )
            began_s = database.image.frozen_s
        else:
            looks.append(self._look())
        # Where a first attempt had to be given up, the last look is the one that was taken while the database stood.
        look = looks[-1]
        try:
            if database is None and not self._allow_missing and not look.belongs:
                raise self._no_maos()
            files, notes, moved = self._read_files(look)
        except BaseException:
            if database is not None:
                database.close()
            raise
        ended_s = self.seams.clock.monotonic_s() if moved else look.ended_s
        transcripts = Transcripts(self.layout.projects, look.transcripts, look.now_ns)
        return MaosCut(database, transcripts, files, max(0.0, ended_s - began_s), notes)

    def _has_database(self) -> bool:
        # Only "not there" means none: a directory that may not be entered must not look like a MAOS without a database.
        if self._ignored:
            return False
        path = self.layout.directory / DATABASE_NAME
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise faults.os_fault(error, path) from error
        return True

    def _look(self) -> _Look:
        """List transcripts and files: some system calls for each, quick enough to be done under a lock.

        Raises:
            SourceError, PermissionRefusedError: a folder cannot be listed.
        """
        try:
            look = _Look(list_transcripts(self.layout))
            for place in self.layout.file_places():
                root = self.layout.root(place.root)
                if place.ending:
                    look.files += [(place, entry) for entry in list_files(root, place.path, place.ending)]
                elif (entry := look_at(root, place.path)) is not None:
                    look.files.append((place, entry))
        except OSError as error:
            raise self._os_fault(error) from error
        look.now_ns = self.seams.clock.now_ms() * 1_000_000
        look.ended_s = self.seams.clock.monotonic_s()
        return look

    def _read_files(self, look: _Look) -> tuple[list[FoundFile], tuple[str, ...], bool]:
        """The files of a look, notes on them, and whether one of them changed since that look."""
        files: list[FoundFile] = []
        notes = self._link_notes()
        moved = False
        left_bytes = FILES_BYTES_MAX
        for place, entry in look.files:
            name = display_value(entry.name)
            component = file_component(place, os.fsdecode(os.path.basename(entry.path)))
            if entry.size > min(FILE_BYTES_MAX, left_bytes):
                notes.append(f"{name} was left out: {entry.size} bytes are more than is read of such files.")
                files.append(FoundFile(component, place.root, entry, None))
                continue
            try:
                found = read_settled(self.layout.root(place.root), entry, self.seams.clock)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else "input/output error"
                notes.append(f"{name} was left out: it could not be read ({reason}).")
                files.append(FoundFile(component, place.root, entry, None))
                continue
            moved = moved or found is None or found.entry != entry
            if found is None:
                continue
            if not found.settled:
                notes.append(f"{name} kept changing, or is not valid JSON: it was captured as it was read last.")
            left_bytes -= len(found.content)
            files.append(FoundFile(component, place.root, found.entry, found.content))
        return sorted(files, key=lambda one: (one.root, one.entry.path)), tuple(notes), moved

    def _link_notes(self) -> list[str]:
        places = [(self.layout.root(place.root), place.path) for place in self.layout.file_places()]
        places += [(self.layout.projects, slug) for slug in self.layout.slugs]
        found = dict.fromkeys(path for root, path in places if linked(root, path))
        return [f"{display_value(path)} was left out: it is reached through a symbolic link." for path in found]

    def _no_maos(self) -> SourceError:
        directory = self.layout.directory
        return SourceError(
            f"There is no MAOS in {directory}: no {DATABASE_NAME}, no transcripts and no configuration.",
            kept=faults.KEPT,
            hint="Name a MAOS working directory with --source maos:DIR.",
            path=str(directory),
        )

    def _os_fault(self, error: OSError) -> CkptError:
        name = error.filename
        known = isinstance(name, str | bytes) and os.path.isabs(name)
        return faults.os_fault(error, Path(os.fsdecode(name)) if known else self.layout.directory)
