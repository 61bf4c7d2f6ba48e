"""Putting transcripts and files of a MAOS back, each one whole or not at all.

A file is written anew from what is there and the changes of the plan, so that an append-only transcript that has grown
is cut by writing its beginning. Nothing here raises for a single file: what could not be put back is reported with its
reason, because the database has been committed by then. Doing it twice does no harm: what is as it should be already
counts as done, which is how a crashed recovery is finished.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby
from typing import IO, Final

from maos_ckpt.codec.values import RawText
from maos_ckpt.model import CollectionKind, Descriptor, Row, Value
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import FilesWritten
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.maos.claude_processes import ClaudeProcesses, resume_command, session_of
from maos_ckpt.sources.maos.folders import MODE_MASK, Place, UnsafePathError, open_place
from maos_ckpt.sources.maos.layout import ROOT_CLAUDE, TRANSCRIPT_SUFFIX, Layout
from maos_ckpt.sources.maos.transcripts import DEPTH, LINE_BYTES_MAX
from maos_ckpt.sources.sqlite.faults import describe_process

#: Files that could not be put back and are named; the last entry counts the others.
SKIPPED_LISTED_MAX: Final = 100
#: Resume commands that are handed out.
COMMANDS_MAX: Final = 1000

_MOVED: Final = "it changed since the plan was made"
_File = tuple[str, bytes]


class _MovedError(Exception):
    """A file is neither as the plan saw it nor as it is to be."""


def write_files(
    layout: Layout, seams: Seams, changes: Iterable[Change], progress: Callable[[int], None]
) -> FilesWritten:
    """Put back the lines and files among `changes`; rows of tables are passed over. See `Source.write_files`.

    A file that comes or goes as a whole is settled after the lines of it, in whichever order the two are given.
    """
    writer = _Writer(layout, seams)
    of_files = (one for one in changes if one.descriptor.kind in (CollectionKind.LINES, CollectionKind.FILES))
    later: list[tuple[_File, Change]] = []
    done = 0
    for (descriptor, root, path), group in groupby(of_files, _file_of):
        file = (str(root), path)
        if descriptor.kind is CollectionKind.FILES and "content" not in descriptor.columns:
            later += [(file, one) for one in group]
            continue
        writer.put(file, group, writer.put_lines if descriptor.kind is CollectionKind.LINES else writer.put_content)
        done += 1
        progress(done)
    for file, change in later:
        writer.put(file, iter((change,)), writer.settle)
        done += 1
        progress(done)
    return writer.result()


class _Writer:
    def __init__(self, layout: Layout, seams: Seams) -> None:
        self._layout = layout
        self._seams = seams
        self._claudes: ClaudeProcesses | None = None
        self._touched: set[_File] = set()
        self._skipped: dict[_File, str] = {}
        self._commands: list[str] = []

    def put(
        self, file: _File, changes: Iterator[Change], write: Callable[[_File, Place, Iterator[Change]], bool]
    ) -> None:
        """Put one file back by `write`, or note why not."""
        first = next(changes)
        root, path = file
        try:
            if not _belongs(self._layout, root, path):
                raise UnsafePathError("MAOS keeps no such file")
            with open_place(self._layout.root(root), path, create=first.after is not None) as place:
                if place is not None:
                    self._check_idle(root, path, place)
                    if write(file, place, chain((first,), changes)):
                        self._touched.add(file)
        except (UnsafePathError, _MovedError) as error:
            self._skipped.setdefault(file, str(error))
        except OSError as error:
            self._skipped.setdefault(file, os.strerror(error.errno) if error.errno else "it cannot be written")

    def put_lines(self, file: _File, place: Place, changes: Iterator[Change]) -> bool:
        """A transcript, line by line."""
        with place.open() as old, place.replacing(None) as new:
            edit = _LineEdit(old, new.file)
            edit.run(changes)
            new.keep = edit.changed
        self._offer_resume(file[1], edit.last_with_directory)
        return edit.changed

    def put_content(self, _: _File, place: Place, changes: Iterator[Change]) -> bool:
        """A file that the checkpoint holds whole."""
        (change,) = changes
        found = place.look()
        with place.open() as file:
            live = None if file is None else file.read()
        before = None if change.before is None else _value(change.descriptor.columns, change.before, "content")
        if change.after is None:
            if live not in (None, before):
                raise _MovedError(_MOVED)
            return _remove(place, live is not None)
        mode = _mode(change)
        wanted = _value(change.columns, change.after, "content")
        if not isinstance(wanted, bytes):
            raise UnsafePathError("the checkpoint does not hold its content")
        if found is not None and live == wanted:
            return _set_mode(place, found, mode)
        if live != before:
            raise _MovedError(_MOVED)
        with place.replacing(mode) as new:
            new.file.write(wanted)
        return True

    def settle(self, _: _File, place: Place, changes: Iterator[Change]) -> bool:
        """A transcript as a file: one without lines comes, an emptied one goes, permissions change."""
        (change,) = changes
        found = place.look()
        if change.after is None:
            if found is not None and found.st_size:
                raise _MovedError(_MOVED)
            return _remove(place, found is not None)
        mode = _mode(change)
        if found is not None:
            return _set_mode(place, found, mode)
        with place.replacing(mode):
            return True

    def result(self) -> FilesWritten:
        """What has become of all of them."""
        listed = list(self._skipped.items())
        skipped = [
            f"{root}/{os.fsdecode(path)} was left alone: {reason}."
            for (root, path), reason in listed[:SKIPPED_LISTED_MAX]
        ]
        if len(listed) > SKIPPED_LISTED_MAX:
            skipped.append(f"{len(listed) - SKIPPED_LISTED_MAX} more files were left alone.")
        return FilesWritten(len(self._touched), tuple(skipped), tuple(self._commands))

    def _check_idle(self, root: str, path: bytes, place: Place) -> None:
        if root != ROOT_CLAUDE:
            return
        if self._claudes is None:
            self._claudes = ClaudeProcesses(self._seams.processes, self._layout)
        found = place.look()
        changed_ms = 0 if found is None else found.st_mtime_ns // 1_000_000
        if (root, path) in self._touched:
            # Its time is that of our own writing.
            changed_ms = 0
        writer = self._claudes.writer_of(path, changed_ms)
        if writer is not None:
            raise UnsafePathError(f"{describe_process(writer)} may be writing to it")

    def _offer_resume(self, path: bytes, line: bytes) -> None:
        """Say how to continue the session, whose last line with a directory is `line`; transcripts of sub-agents are no
        sessions of their own.

        Claude Code finds a session only from the directory that its folder is named after: where the agent has gone
        since does not count.
        """
        session = session_of(path)
        if session is None or os.path.basename(os.fsdecode(path)) != session + TRANSCRIPT_SUFFIX:
            return
        try:
            directory = json.loads(line).get("cwd")
        except (ValueError, RecursionError, AttributeError):
            return
        if os.fsdecode(path).split("/")[0] in self._layout.slugs:
            directory = str(self._layout.original or self._layout.directory)
        command = resume_command(session, directory, self._layout) if isinstance(directory, str) else None
        if command is not None and len(self._commands) < COMMANDS_MAX:
            self._commands.append(command)


class _LineEdit:
    """Copies a file of lines with the changes of a plan made in it. `changed`: whether the copy differs."""

    def __init__(self, old: IO[bytes] | None, new: IO[bytes]) -> None:
        self._old = old
        self._new = new
        self._number = 0
        self.changed = False
        #: The last line that may name the session's directory.
        self.last_with_directory = b""

    def run(self, changes: Iterator[Change]) -> None:
        """Make the changes, which are in the order of their lines; _MovedError where the file is another one."""
        cut = False
        for change in changes:
            number = change.parts[1]
            if not isinstance(number, int):
                raise UnsafePathError("the checkpoint numbers its lines by something else")
            while self._number < number - 1:
                self._put(self._next() or self._moved())
            before, after = _text(change.descriptor.columns, change.before), _text(change.columns, change.after)
            line = self._next()
            if line not in (before, after):
                self._moved()
            self.changed = self.changed or line != after
            cut = cut or change.after is None
            self._put(after)
        while line := self._next():
            # Behind a cut nothing may follow: it was appended since.
            self._put(self._moved() if cut else line)

    def _next(self) -> bytes:
        """The next line of the old file, b"" behind its end."""
        self._number += 1
        return b"" if self._old is None else self._old.readline(LINE_BYTES_MAX)

    def _put(self, line: bytes) -> None:
        self._new.write(line)
        if b'"cwd"' in line:
            self.last_with_directory = line

    def _moved(self) -> bytes:
        raise _MovedError(_MOVED)


def _file_of(change: Change) -> tuple[Descriptor, Value, bytes]:
    descriptor, parts = change.descriptor, change.parts
    if descriptor.keys[:1] == ("root",):
        return descriptor, parts[0], _bytes(parts[1])
    return descriptor, descriptor.origin, _bytes(parts[0])


def _belongs(layout: Layout, root: str, file: bytes) -> bool:
    """Whether a MAOS keeps a file of this name: a checkpoint must not be able to put others on the machine."""
    path = os.fsdecode(file)
    if root == ROOT_CLAUDE:
        return path.endswith(TRANSCRIPT_SUFFIX) and 1 <= path.count("/") <= 1 + DEPTH
    folder, _, name = path.rpartition("/")
    return any(
        place.root == root
        and ((folder == place.path and name.endswith(place.ending)) if place.ending else path == place.path)
        for place in layout.file_places()
    )


def _remove(place: Place, there: bool) -> bool:
    if there:
        place.remove()
    return there


def _set_mode(place: Place, found: os.stat_result, mode: int | None) -> bool:
    if mode is None or found.st_mode & MODE_MASK == mode & MODE_MASK:
        return False
    place.set_mode(mode)
    return True


def _mode(change: Change) -> int | None:
    assert change.after is not None
    value = _value(change.columns, change.after, "mode")
    return value if isinstance(value, int) else None


def _value(columns: tuple[str, ...], row: Row, name: str) -> Value:
    return row[columns.index(name)] if name in columns else None


def _text(columns: tuple[str, ...], row: Row | None) -> bytes:
    """A line's bytes; b"" where it is not there."""
    return b"" if row is None else _bytes(_value(columns, row, "text"))


def _bytes(value: Value) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return bytes(value.data) if isinstance(value, RawText) else b""
