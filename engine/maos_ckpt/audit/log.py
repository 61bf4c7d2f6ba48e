"""The audit log of a repository: who changed what, when and why, in entries that each name the one before.

An entry is one line in `journal/audit/`, appended and synced; then `head.json` beside it is replaced, which says where
the log ends. The manifest of a new checkpoint names the newest entry as well, so who shortens the log has to forge
manifests. A log that does not fit its head is left as it is, and a new chain begins that names the break: no operation
fails because of its entry. Files are put aside at a size, and the oldest ones removed beyond a number.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from maos_ckpt.audit import entries
from maos_ckpt.audit.actor import actor
from maos_ckpt.audit.entries import DIRECTORY, NEW_CHAIN, Entry, Head, bounded, line_hash, segment_name
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.errors import CkptError, ConflictError, IntegrityError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.repository.checked_json import decode_checked, with_checksum
from maos_ckpt.repository.lease import try_lock
from maos_ckpt.seams import Seams

_SEGMENT = re.compile(r"[0-9]{12,18}\.jsonl")
_LOG = logging.getLogger(__name__)
_HEAD = f"{DIRECTORY}/head.json"
_HEAD_BYTES_MAX = 4096
#: The current file is put aside at this size …
SEGMENT_BYTES_MAX = 4 << 20
#: … and beyond so many the oldest goes.
SEGMENTS_MAX = 64
#: No file grows beyond the size at which it is put aside by more than an entry.
_FILE_BYTES_MAX = SEGMENT_BYTES_MAX + entries.LINE_BYTES_MAX
_LOCK_TRIES = 500
_LOCK_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Act:
    """What is to be recorded: what was done (`restore`, `delete`, …), how it ended, why, to what."""

    verb: str
    result: str
    detail: str = ""
    reason: str = ""
    digest: str = ""
    about: Sequence[str] = ()


class AuditLog:
    """Append to and read from one repository's audit log. Several processes may use it at the same time."""

    def __init__(self, repository: Path, seams: Seams) -> None:
        self.directory = repository / DIRECTORY
        self._backend = LocalBackend(repository, seams)
        self._seams = seams

    # Writing

    def record(self, act: Act) -> Entry | None:
        """Append an entry durably; None, and a warning in the log, where the storage refuses: what it tells of has
        happened, and does not fail because of it."""
        try:
            with self._locked():
                return self._append(act)
        except (OSError, CkptError) as error:
            # Where nothing can be written at all nothing was done, and whoever tried says so.
            if os.access(self._backend.root, os.W_OK):
                _LOG.warning("this is not in the audit log: %s (%s)", act.verb, error)
            return None

    def begin_anew(self, why: str, after: int = 0) -> None:
        """Begin a new chain that names what is wrong with what is there, above the entry `after` that somebody knows.

        Raises:
            StorageError, PermissionRefusedError: the storage refuses.
        """
        try:
            with self._locked():
                self._begin(why, after)
        except OSError as error:
            raise_storage_error(error, self.directory)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # A path that is no repository has no journal, and stays untouched.
        if not self.directory.is_dir():
            self.directory.mkdir(mode=0o700)
            self._seams.fs.sync_directory(self.directory.parent)
        for _ in range(_LOCK_TRIES):
            lock = try_lock(self.directory / "lock", "audit", self._seams)
            if lock is not None:
                break
            self._seams.clock.sleep(_LOCK_PAUSE_S)
        else:
            raise ConflictError("The audit log is in use by another process.", hint="Try again.")
        try:
            yield
        finally:
            lock.release()

    def _append(self, act: Act) -> Entry:
        found = self._end()
        head = self._begin(found, 0) if isinstance(found, str) else found
        if head.size >= SEGMENT_BYTES_MAX:
            head = msgspec.structs.replace(head, segment=head.seq + 1, size=0)
        entry = self._entry(act, head.log, head.seq + 1, head.hash)
        self._write(head, entry)
        return entry

    def _begin(self, why: str, after: int) -> Head:
        """Begin a chain in a file of its own; what is there already is named by its hashes."""
        covers = {segment_name(one): file_hash(self.path(one)) for one in self.segments()}
        newest, log = max([after, *self.segments()]), ""
        for line in self.lines():
            known = entries.decode(line)
            if known is not None:
                newest, log = max(newest, known.seq), known.log
        with contextlib.suppress(IntegrityError):
            before = self.head()
            if before is not None:
                newest, log = max(newest, before.seq), before.log
        if why:
            _LOG.warning("the audit log is damaged (%s); a new chain begins in it", why)
        act = Act(NEW_CHAIN, entries.FAILED if why else entries.DONE, why)
        entry = self._entry(act, log or self._seams.random.token(8).hex(), newest + 1, "", covers)
        first, first_before = self._first(entry)
        return self._write(Head(entry.log, first, first_before, entry.seq, "", entry.seq, 0), entry)

    def _first(self, entry: Entry) -> tuple[int, str]:
        for line in itertools.islice(self.lines(), 1):
            oldest = entries.decode(line)
            if oldest is not None:
                return oldest.seq, oldest.before
        return entry.seq, ""

    def _entry(self, act: Act, log: str, seq: int, before: str, covers: dict[str, str] | None = None) -> Entry:
        made = Entry(
            log=log,
            seq=seq,
            before=before,
            at_ms=self._seams.clock.now_ms(),
            verb=act.verb,
            result=act.result,
            detail=bounded(act.detail),
            reason=bounded(act.reason),
            digest=bounded(act.digest, entries.ABOUT_CHARACTERS_MAX),
            about=[bounded(one, entries.ABOUT_CHARACTERS_MAX) for one in act.about[: entries.ABOUT_MAX]],
            who=actor(),
            covers=covers or {},
        )
        while len(entries.encode(made)) > entries.LINE_BYTES_MAX and made.about:
            # What JSON escapes takes several bytes a character: rather fewer names than a line that nobody reads.
            made = msgspec.structs.replace(made, about=made.about[: len(made.about) // 2])
        return made

    def _write(self, head: Head, entry: Entry) -> Head:
        """Append an entry behind the head; the head behind it."""
        line, path = entries.encode(entry), self.path(head.segment)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # What a crash left of an entry that nobody was told of.
            os.ftruncate(fd, head.size)
            os.lseek(fd, head.size, os.SEEK_SET)
            self._seams.fs.write(fd, line + b"\n")
            self._seams.fs.sync(fd)
        finally:
            os.close(fd)
        if not head.size:
            self._seams.fs.sync_directory(self.directory)
        after = msgspec.structs.replace(head, seq=entry.seq, hash=line_hash(line), size=head.size + len(line) + 1)
        segments = self.segments()
        gone = segments[:-SEGMENTS_MAX]
        if gone:
            oldest = entries.decode(next(self.file_lines(segments[-SEGMENTS_MAX]), b""))
            if oldest is not None:
                after = msgspec.structs.replace(after, first=oldest.seq, first_before=oldest.before)
        # The head lets go of the oldest entries before they go.
        self._backend.replace(_HEAD, with_checksum(msgspec.json.encode(after)))
        for one in gone:
            self._seams.fs.unlink(self.path(one))
        return after

    def _end(self) -> Head | str:
        """The head, moved on over an entry that a crash kept it from naming; or what is wrong, "" where nothing is."""
        try:
            head = self.head()
        except IntegrityError as error:
            return error.message
        segments = self.segments()
        if head is None:
            return "its head is gone" if segments else ""
        if any(self.path(one).stat().st_size > _FILE_BYTES_MAX for one in segments):
            return "a file of it is larger than any that was written"
        last = None
        if head.segment in segments:
            data = self.path(head.segment).read_bytes()
            last = data[: head.size].removesuffix(b"\n").rpartition(b"\n")[2]
        if last is None or len(data) < head.size or line_hash(last) != head.hash:
            return f"it does not end with entry {head.seq}, as its head says"
        return self._moved_on(head, data[head.size :], [one for one in segments if one > head.segment])

    def _moved_on(self, head: Head, rest: bytes, newer: list[int]) -> Head | str:
        places = [(head.segment, head.size, rest), *((one, 0, self.path(one).read_bytes()) for one in newer)]
        for segment, size, data in places:
            for line in data.split(b"\n")[:-1]:
                entry = entries.decode(line)
                if entry is None or entry.before != head.hash or entry.seq != head.seq + 1:
                    return f"something else follows entry {head.seq}"
                size += len(line) + 1
                head = msgspec.structs.replace(head, seq=entry.seq, hash=line_hash(line), segment=segment, size=size)
        return head

    # Reading

    def head(self) -> Head | None:
        """Where the log ends, as the head says; None where there is none.

        Raises:
            IntegrityError: it cannot be read.
        """
        try:
            with (self.directory / "head.json").open("rb") as file:
                data = file.read(_HEAD_BYTES_MAX)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise IntegrityError(f"The head of the audit log cannot be read: {error.strerror}.") from error
        return decode_checked(data, _HEAD, Head)

    def anchor(self) -> bytes:
        """What the manifest of a new checkpoint says about the log; empty where there is none that can be read."""
        with contextlib.suppress(IntegrityError):
            head = self.head()
            if head is not None:
                return entries.encode_anchor(head)
        return b""

    def segments(self) -> list[int]:
        """The files, by the number of their first entry, in order."""
        try:
            names = os.listdir(self.directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise_storage_error(error, self.directory)
        return sorted(int(name.removesuffix(".jsonl")) for name in names if _SEGMENT.fullmatch(name))

    def path(self, segment: int) -> Path:
        """Where a file lies."""
        return self.directory / segment_name(segment)

    def lines(self) -> Iterator[bytes]:
        """All lines, oldest first, without their line feeds."""
        for segment in self.segments():
            yield from self.file_lines(segment)

    def file_lines(self, segment: int) -> Iterator[bytes]:
        """The lines of one file, a torn one at its end included."""
        try:
            with self.path(segment).open("rb") as file:
                while line := file.readline(entries.LINE_BYTES_MAX):
                    yield line.removesuffix(b"\n")
        except FileNotFoundError:
            # Put away since it was listed.
            return
        except OSError as error:
            raise_storage_error(error, self.path(segment))

    def newest_first(self) -> Iterator[Entry]:
        """All entries that can be read, newest first."""
        for segment in reversed(self.segments()):
            for line in reversed(list(self.file_lines(segment))):
                entry = entries.decode(line)
                if entry is not None:
                    yield entry


def file_hash(path: Path) -> str:
    """SHA-256 of a file in hex; "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
