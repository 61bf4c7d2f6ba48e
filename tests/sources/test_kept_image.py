"""The kept image: used only while it is exactly what the memo says, at most one, and never in anybody's way."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.memo import Memo
from maos_ckpt.sources.sqlite import kept_image
from maos_ckpt.sources.sqlite.cut import EmptyCut
from tests.sources.states import find, make_rows, sqlite_source

TABLE = "database/t"


class Keeper:
    """A database, the folder of its kept image, and the memo that names it."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "t.db"
        make_rows(self.database, 400)
        self.kept = folder / "kept"
        self.private = folder / "private"
        for one in (self.kept, self.private):
            one.mkdir()
        self.memo = b""
        self.save()

    def save(self) -> None:
        """What a committed save does with a cut."""
        with closing(sqlite_source(self.database).open_cut(self.private)) as cut:
            for descriptor in cut.descriptors():
                cut.changed_ranges(descriptor, self.memo, self.kept)
            self.memo = cut.keep(self.kept)

    def ranges(self, memo: bytes = b"") -> int | None:
        """How many ranges the table needs, None for a full reading; kept images stay as they are."""
        before = self.images()
        with closing(sqlite_source(self.database).open_cut(self.private)) as cut:
            found = cut.changed_ranges(find(cut, TABLE), memo or self.memo, self.kept)
        assert self.images() == before
        return None if found is None else len(found)

    def change(self, row: int) -> None:
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute("UPDATE t SET v = 'changed' WHERE rowid = ?", (row,))
            connection.commit()

    def images(self) -> dict[str, tuple[int, int]]:
        return {one.name: (one.stat().st_ino, one.stat().st_mtime_ns) for one in self.kept.iterdir()}

    def image(self) -> Path:
        (only,) = self.kept.iterdir()
        return only

    def with_mark(self, **fields: object) -> bytes:
        """The memo with another mark."""
        memo = Memo.decode(self.memo)
        assert memo is not None
        assert memo.image is not None
        return msgspec.structs.replace(memo, image=msgspec.structs.replace(memo.image, **fields)).encode()


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(tmp_path)


def test_the_image_is_kept_private_and_brought_up_to_date_in_place(keeper: Keeper) -> None:
    first = keeper.image()
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    inode = first.stat().st_ino
    for row in (3, 200, 399):
        keeper.change(row)
        assert keeper.ranges() == 1
        keeper.save()
        assert keeper.ranges() == 0
        assert keeper.image().read_bytes() == keeper.database.read_bytes()
    assert keeper.image().stat().st_ino == inode
    assert keeper.image().name != first.name


def test_an_image_of_other_pages_takes_the_place_of_the_kept_one(keeper: Keeper) -> None:
    inode = keeper.image().stat().st_ino
    with closing(sqlite3.connect(keeper.database)) as connection:
        connection.execute("UPDATE t SET v = 'short'")
        connection.commit()
        connection.execute("VACUUM")
    keeper.save()
    assert keeper.image().stat().st_ino != inode
    assert keeper.image().read_bytes() == keeper.database.read_bytes()
    keeper.change(7)
    assert keeper.ranges() == 1


def _flip(image: Path) -> None:
    times = image.stat()
    with image.open("r+b") as file:
        file.seek(times.st_size // 2)
        file.write(b"\xff")
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))


def _copy(image: Path) -> None:
    shutil.copy2(image, image.with_suffix(".copy"))
    image.with_suffix(".copy").replace(image)


def _link(image: Path) -> None:
    image.rename(image.with_suffix(".real"))
    image.symlink_to(image.with_suffix(".real"))


def _pipe(image: Path) -> None:
    image.unlink()
    os.mkfifo(image)


def _cut_off(image: Path) -> None:
    os.truncate(image, 4096)


DAMAGES: list[Callable[[Path], None]] = [_flip, _copy, _link, _pipe, _cut_off, Path.unlink, Path.touch]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__.strip("_"))
def test_a_kept_image_that_is_not_what_it_was_is_not_used_and_goes_with_the_next_save(
    keeper: Keeper, damage: Callable[[Path], None]
) -> None:
    keeper.change(5)
    assert keeper.ranges() == 1
    damage(keeper.image())
    assert keeper.ranges() is None
    keeper.save()
    for extra in (*keeper.kept.glob("*.copy"), *keeper.kept.glob("*.real")):
        extra.unlink()
    keeper.change(6)
    assert keeper.ranges() == 1


def test_a_mark_of_another_moment_or_another_run_of_the_machine_does_not_count(keeper: Keeper) -> None:
    keeper.change(5)
    assert keeper.ranges(keeper.with_mark()) == 1
    others: list[dict[str, object]] = [
        {"boot": b"another"},
        {"ctime_ns": 1},
        {"mtime_ns": 1},
        {"inode": 1},
        {"device": 1},
        {"sample": 1},
        {"name": f"image-{'0' * 32}.db"},
    ]
    for other in others:
        assert keeper.ranges(keeper.with_mark(**other)) is None
    assert Memo.decode(keeper.with_mark(name="../../t.db")) is None


def test_the_image_of_another_database_is_not_taken_for_the_right_one(keeper: Keeper, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Keeper(tmp_path / "other")
    keeper.change(5)
    other.image().replace(keeper.image())
    assert keeper.ranges(keeper.with_mark(inode=keeper.image().stat().st_ino)) is None


def test_what_is_read_while_another_save_writes_to_the_image_does_not_count(keeper: Keeper) -> None:
    keeper.change(5)
    with closing(sqlite_source(keeper.database).open_cut(keeper.private)) as cut:
        descriptor = find(cut, TABLE)
        found = cut.changed_ranges(descriptor, keeper.memo, keeper.kept)
        assert found is not None
        assert len(found) == 1
        memo = keeper.memo
        keeper.save()
        assert cut.changed_ranges(descriptor, memo, keeper.kept) is None


def test_a_cut_that_is_not_kept_leaves_nothing_behind(keeper: Keeper) -> None:
    before = keeper.images()
    keeper.change(5)
    with closing(sqlite_source(keeper.database).open_cut(keeper.private)) as cut:
        cut.changed_ranges(find(cut, TABLE), keeper.memo, keeper.kept)
    assert keeper.images() == before
    assert not list(keeper.private.iterdir())


def test_databases_beyond_the_bound_are_not_kept(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_image, "KEPT_BYTES_MAX", keeper.database.stat().st_size - 1)
    keeper.change(5)
    keeper.save()
    assert not keeper.images()
    memo = Memo.decode(keeper.memo)
    assert memo is not None
    assert memo.image is None
    assert keeper.ranges() == 0
    keeper.change(6)
    assert keeper.ranges() is None


def test_an_image_makes_room_where_the_disk_gets_full(keeper: Keeper) -> None:
    found = os.statvfs(keeper.kept)
    free = found.f_bavail * found.f_frsize
    kept_image.make_room(keeper.kept, min(0, free))
    assert keeper.images()
    (keeper.kept / "memo.msgpack").write_bytes(b"not an image")
    kept_image.make_room(keeper.kept, free)
    assert list(keeper.images()) == ["memo.msgpack"]


def test_nothing_is_kept_where_there_is_no_folder_or_no_database(keeper: Keeper, tmp_path: Path) -> None:
    image = tmp_path / "image.db"
    shutil.copy(keeper.database, image)
    assert kept_image.take_over(image, tmp_path / "nowhere", SYSTEM) is None
    assert image.exists()
    assert EmptyCut().keep(keeper.kept) == b""
    assert not keeper.images()
