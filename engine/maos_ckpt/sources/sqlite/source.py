"""The source `sqlite:PATH`: any SQLite file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Cut, FilesWritten
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite import faults, probe
from maos_ckpt.sources.sqlite.cut import DatabaseImage, EmptyCut, SqliteCut
from maos_ckpt.sources.sqlite.live import Held


class SqliteSource:
    """One SQLite file. `path` is absolute and has no symbolic links: SQLite's sidecar files lie beside the real one.

    With `allow_missing` a file that does not exist counts as an empty state, and one that is damaged is no error yet;
    with `ignored` it counts as not existing whatever is there.
    """

    def __init__(self, path: Path, seams: Seams, *, allow_missing: bool = False, ignored: bool = False) -> None:
        self.path = Path(os.path.realpath(path))
        self.seams = seams
        self._allow_missing = allow_missing
        self._ignored = ignored

    @property
    def spec(self) -> str:
        """See `Source.spec`."""
        return f"sqlite:{self.path}"

    def check(self) -> None:
        """Look at the file without a lock.

        Raises:
            SourceError, PermissionRefusedError: there is nothing that could be captured.
        """
        with contextlib.suppress(*((faults.DamagedError,) if self._allow_missing else ())):
            probe.read_header(self.path)

    def token(self) -> bytes:
        """See `Source.token`."""
        return b"" if self._ignored else probe.fingerprint(self.path)

    def bytes_hint(self) -> int:
        """See `Source.bytes_hint`."""
        try:
            return os.stat(self.path).st_size
        except OSError:
            return 0

    @property
    def database(self) -> Path:
        """See `Source.database`."""
        return self.path

    def without_database(self) -> SqliteSource:
        """See `Source.without_database`."""
        return SqliteSource(self.path, self.seams, allow_missing=True, ignored=True)

    def write_files(self, changes: Iterable[Change], progress: Callable[[int], None]) -> FilesWritten:
        """See `Source.write_files`: a database has none beside it."""
        return FilesWritten()

    def open_cut(self, directory: Path, held: Held | None = None) -> Cut:
        """See `Source.open_cut`.

        Raises:
            SourceError, PermissionRefusedError: see `capture_image`.
            StorageError: no space for the private image.
        """
        if self._ignored or (self._allow_missing and not self.path.exists()):
            return EmptyCut()
        return SqliteCut(DatabaseImage.capture(self.path, directory, self.seams, lambda: None, held))
