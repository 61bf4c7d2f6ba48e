"""Saving a source again and again, watched: what is read in full, and what every cut held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.codec.secret import Secret
from maos_ckpt.codec.values import encode_row
from maos_ckpt.model import Checkpoint, Descriptor, Row, Trigger
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.base import Cut, Source, record_key
from maos_ckpt.sources.sqlite.live import Held
from maos_ckpt.tree.builder import build
from maos_ckpt.tree.cutter import LARGE_VALUE_BYTES
from tests.tree.memory import MemoryChunks

Roots = dict[tuple[str, str], bytes | None]


class Watched:
    """A source that notes which collections of its cuts are read in full, and can read every cut for itself first."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.read: set[str] = set()
        #: With `check`, the roots of all collections of the last cut that was kept.
        self.check = False
        self.full: Roots = {}

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)

    def open_cut(self, directory: Path, held: Held | None = None) -> Cut:
        cut = self._source.open_cut(directory, held)
        rows, keep = cut.rows, cut.keep

        def noted(descriptor: Descriptor, *, sort: bool = False) -> Iterator[list[Row]]:
            self.read.add(descriptor.path)
            return rows(descriptor, sort=sort)

        def checked(directory: Path) -> bytes:
            if self.check:
                self.full = {(one.component, one.name): _root(rows, one) for one in cut.descriptors()}
            return keep(directory)

        cut.rows, cut.keep = noted, checked  # type: ignore[method-assign]
        return cut


def _root(rows: Callable[..., Iterator[list[Row]]], descriptor: Descriptor) -> bytes | None:
    arity = len(descriptor.keys)
    found = (row for batch in rows(descriptor, sort=True) for row in batch)
    records = [(record_key(descriptor, row), encode_row(row[arity:])) for row in found]
    assert max((len(value) for _, value in records), default=0) < LARGE_VALUE_BYTES
    return build(iter([([key for key, _ in records], [value for _, value in records])]), MemoryChunks(), "").id


class Saver:
    """One repository of a source, which may be made to forget what the last save left."""

    def __init__(self, path: Path, source: Source, key: Secret | None = None) -> None:
        self.source = Watched(source)
        self.repository = Repository.open_or_create(path, source.spec, SYSTEM, key=key)
        self.cache = path / "cache"

    def save(self) -> Checkpoint:
        self.source.read.clear()
        request = SaveRequest(Trigger.MANUAL)
        with self.repository.lease("save"):
            return save_checkpoint(self.repository, self.source, request, lambda _: None, SYSTEM)  # type: ignore[arg-type]

    @property
    def read(self) -> set[str]:
        """Collections that the last save read in full."""
        return self.source.read

    def images(self) -> list[Path]:
        return list(self.cache.glob("image-*"))

    def forget(self) -> None:
        for one in (*self.images(), self.cache / "memo.msgpack"):
            one.unlink(missing_ok=True)


def roots(checkpoint: Checkpoint) -> Roots:
    return {(one.component, one.name): one.root for one in checkpoint.collections}
