"""A checkpoint as plain files: a JSON object a line for each record, a file for each collection, so that no program is
needed to read what was saved.

Values are typed as `fields` says under "JSON values".
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import shutil
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from maos_ckpt.diff import BrowsedRecord, browse
from maos_ckpt.errors import CkptError, ConflictError, IntegrityError, UsageError
from maos_ckpt.fields import json_value
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.model import Checkpoint, Progress
from maos_ckpt.model.contents import ExportedFile
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.states import StoredState

#: File names are cut to this length, with a hash at the end to keep them apart.
NAME_CHARACTERS_MAX = 120
#: How the name of a directory ends that a killed export left; it may be removed.
UNFINISHED_SUFFIX = ".maos-ckpt-unfinished"
_BUFFER_BYTES = 1 << 20
_REPORT_RECORDS = 2000


def json_record(record: BrowsedRecord) -> dict[str, object]:
    """A record as JSON: `component`, `collection`, `key` (for people) and `value` (column → value)."""
    return {
        "component": record.component,
        "collection": record.collection,
        "key": record.key,
        "value": {name: json_value(value) for name, value in record.values.items()},
    }


def file_name(name: str) -> str:
    """A collection's or component's name as one that is safe in any directory."""
    quoted = urllib.parse.quote(name, safe=" ()+,=@").lstrip(".") or "_"
    if len(quoted) <= NAME_CHARACTERS_MAX and quoted == name:
        return quoted
    # Two names may look alike once quoted or cut; the hash keeps their files apart.
    return f"{quoted[:NAME_CHARACTERS_MAX]}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def export(
    repository: Repository,
    checkpoint: Checkpoint,
    directory: Path,
    progress: Callable[[Progress], None],
    seams: Seams,
    *,
    records: Iterator[BrowsedRecord] | None = None,
) -> list[ExportedFile]:
    """Write a checkpoint as `directory`, which must be empty or not exist; every file is synced.

    A directory that does not exist yet appears with all files in it. One that exists is filled, `checkpoint.json` last.
    What a failed export has written is removed again. Every file is read back before the last step.

    Args:
        records: only these, all of one collection together; None means all that the checkpoint holds.

    Raises:
        ConflictError: the target holds something already.
        IntegrityError: a file read back is not what was written.
        StorageError: the disk refuses; `data["checkpoint"]` names the checkpoint.
    """
    # A link keeps pointing at where the files are.
    directory = Path(os.path.realpath(directory))
    exists = is_empty(directory)
    place = directory
    if not exists:
        place = directory.with_name(f".{directory.name}-{seams.random.token(4).hex()}{UNFINISHED_SUFFIX}")
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=exists)
        files = _write(repository, checkpoint, place, progress, seams, records)
        if not exists:
            place.rename(directory)
            seams.fs.sync_directory(directory.parent)
    except OSError as error:
        _remove(place, directory=not exists)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise _occupied(directory) from error
        _refuse(error, directory, checkpoint)
    except BaseException:
        _remove(place, directory=not exists)
        raise
    return files


def _remove(place: Path, *, directory: bool) -> None:
    """Remove what an export wrote; the directory only where it was the export's own."""
    if directory:
        shutil.rmtree(place, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        for path in place.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def _refuse(error: OSError, directory: Path, checkpoint: Checkpoint) -> NoReturn:
    try:
        raise_storage_error(error, directory)
    except CkptError as refused:
        refused.kept = "What was written of the export was removed again; the checkpoint is untouched."
        refused.hint = "Name a directory on a disk with more space, or one that this user may write."
        refused.data["checkpoint"] = checkpoint.id
        raise


def _write(
    repository: Repository,
    checkpoint: Checkpoint,
    directory: Path,
    progress: Callable[[Progress], None],
    seams: Seams,
    chosen: Iterator[BrowsedRecord] | None,
) -> list[ExportedFile]:
    writer = _Writer(checkpoint, directory, progress, seams)
    all_records = browse(StoredState(repository, checkpoint)) if chosen is None else chosen
    found = itertools.groupby(all_records, key=lambda one: (one.component, one.collection))
    files = [writer.collection(*name, records) for name, records in found]
    if chosen is None:
        written = {(one.component, one.collection) for one in files}
        empty = [one for one in checkpoint.collections if (one.component, one.name) not in written]
        files += [writer.collection(one.component, one.name, iter(())) for one in empty]
    writer.description(files)
    writer.read_back()
    for component in {Path(one.path).parent for one in files}:
        seams.fs.sync_directory(directory / component)
    seams.fs.sync_directory(directory)
    return files


def is_empty(directory: Path) -> bool:
    """True where there is an empty directory, False where there is nothing."""
    try:
        with os.scandir(directory) as entries:
            occupied = next(entries, None) is not None
    except FileNotFoundError:
        return False
    except NotADirectoryError as error:
        raise UsageError(f"{directory} is not a directory.", kept="Nothing was written.") from error
    except OSError as error:
        raise_storage_error(error, directory)
    if occupied:
        raise _occupied(directory)
    return True


def _occupied(directory: Path) -> ConflictError:
    return ConflictError(
        f"{directory} is not empty.",
        kept="Nothing was written.",
        hint="Name an empty directory or one that does not exist yet.",
        path=str(directory),
    )


class _Writer:
    def __init__(
        self, checkpoint: Checkpoint, directory: Path, progress: Callable[[Progress], None], seams: Seams
    ) -> None:
        self._checkpoint = checkpoint
        self._directory = directory
        self._progress = progress
        self._seams = seams
        self._done = 0
        self._bytes = 0
        #: SHA-256 of each file's bytes as they were written.
        self._written: dict[Path, bytes] = {}

    def collection(self, component: str, name: str, records: Iterator[BrowsedRecord]) -> ExportedFile:
        relative = Path(file_name(component), file_name(name) + ".jsonl")
        path = self._directory / relative
        path.parent.mkdir(mode=0o700, exist_ok=True)
        lines = (json.dumps(json_record(one), ensure_ascii=False).encode() + b"\n" for one in records)
        count, size = self._write(path, lines)
        return ExportedFile(str(relative), component, name, count, size)

    def _write(self, path: Path, lines: Iterator[bytes]) -> tuple[int, int]:
        fs = self._seams.fs
        fd = fs.create(path)
        records = size = 0
        digest = hashlib.sha256()
        try:
            buffer = bytearray()
            for line in lines:
                buffer += line
                digest.update(line)
                records, size = records + 1, size + len(line)
                if len(buffer) >= _BUFFER_BYTES:
                    fs.write(fd, bytes(buffer))
                    buffer.clear()
                self._tick(len(line))
            fs.write(fd, bytes(buffer))
            fs.sync(fd)
        finally:
            fs.close(fd)
        self._written[path] = digest.digest()
        return records, size

    def read_back(self) -> None:
        """Raise IntegrityError where a file does not hold what was written to it."""
        for path, digest in self._written.items():
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").digest() != digest:
                    raise IntegrityError(f"{path.name} does not hold what was written to it.", path=str(path))

    def _tick(self, size: int) -> None:
        self._done += 1
        self._bytes += size
        if self._done % _REPORT_RECORDS == 0:
            self._progress(Progress("export", "write", self._done, self._checkpoint.records, self._bytes))

    def description(self, files: list[ExportedFile]) -> None:
        """`checkpoint.json`: which checkpoint this is and what each file holds."""
        about = {
            "checkpoint": self._checkpoint.id,
            "source": self._checkpoint.source,
            "created_at_ms": self._checkpoint.created_at_ms,
            "integrity": {"algorithm": "sha512", "digest": self._checkpoint.digest.hex()},
            "files": [
                {"path": one.path, "component": one.component, "collection": one.collection, "records": one.records}
                for one in files
            ],
        }
        text = json.dumps(about, indent=2, ensure_ascii=False).encode() + b"\n"
        self._write(self._directory / "checkpoint.json", iter([text]))
