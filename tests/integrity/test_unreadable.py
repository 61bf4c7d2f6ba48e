"""Bytes that the disk has lost (EIO) are damage of the object they belong to: read, and mended, from the other tier."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.errors import FormatError, IntegrityError, LeaseHeldError
from maos_ckpt.integrity.headers import mend_header
from maos_ckpt.model import CheckpointState, VerifyLevel
from maos_ckpt.repository import damaged
from maos_ckpt.repository.checked_json import with_checksum
from maos_ckpt.repository.header import NAME, decode_header
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.verify import verify
from tests.integrity.conftest import Pair


def bad_sector(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on every read of this file, by whatever descriptor, is an error of the disk."""
    inode, pread = path.stat().st_ino, os.pread

    def reading(fd: int, length: int, offset: int) -> bytes:
        if os.fstat(fd).st_ino == inode:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", reading)


def test_an_object_that_the_disk_lost_is_damaged_and_nothing_else_is(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path, SYSTEM)
    backend.make_directories(["manifests", "tmp"])
    # The kernel's own way to an input/output error: nothing is mapped at address 0.
    (tmp_path / "manifests" / "000000000001").symlink_to("/proc/self/mem")
    with pytest.raises(IntegrityError, match="manifests/000000000001 cannot be read: Input/output error") as caught:
        backend.read("manifests/000000000001", 100)
    assert caught.value.data["object"] == "manifests/000000000001"
    assert not backend.holds("manifests/000000000001", "0" * 64)


def test_a_pack_on_a_bad_sector_is_read_in_the_remote_copy_and_mended_from_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = pair.home.checkpoints()[0]
    bad_sector(pair.path / newest.pack, monkeypatch)
    home = pair.reopen()
    assert home.descriptors(newest)
    found = verify(home, [], VerifyLevel.STANDARD)
    assert not found.ok
    assert any(one.object == newest.pack for one in found.unrepaired)
    with home.lease("repair"):
        mended = verify(home, [], VerifyLevel.STANDARD, repair=True)
    assert [one.detail for one in mended.repaired] == ["taken from the remote copy"]
    assert verify(home, [], VerifyLevel.FULL).ok


def test_a_home_whose_index_is_gone_opens_beside_a_bad_sector(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = pair.home.checkpoints()[0]
    bad_sector(pair.path / newest.pack, monkeypatch)
    pair.home.close()
    (pair.path / "cache" / "chunks.sqlite").unlink()
    pair.home = Repository.open(pair.path, SYSTEM, remote=pair.remote)
    assert list(pair.home.damaged_packs) == [newest.pack]
    assert pair.home.resolve(newest.id).seq == newest.seq


# Marks


def test_damage_is_noted_under_the_lease_and_waits_for_it(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pair.home.checkpoints()[-1]
    other = Repository.open(pair.path, SYSTEM)
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with other.lease("save"):
            taken.set()
            done.wait(10)
            # Between reading and writing marks nobody else's pin may come.
            other.set_marks(first, pinned=False)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(10)
    with pytest.raises(LeaseHeldError), pair.home.marking(wait_s=0.0):
        pass
    threading.Timer(0.2, done.set).start()
    damaged.set_damaged(pair.home, [(first, True)])
    holder.join()
    now = pair.home.resolve(first.id)
    assert (now.state, now.pinned) == (CheckpointState.DAMAGED, False)
    with pair.home.lease("repair"):
        damaged.set_damaged(pair.home, [(first, False)])
    assert pair.home.resolve(first.id).state is not CheckpointState.DAMAGED
    other.close()


# Headers


def newer(data: bytes) -> bytes:
    """The header as a newer program would write it, with a right checksum."""
    text = data[: data.index(b',\n  "checksum"')] + b"\n}"
    return with_checksum(text.replace(b'"format": 1', b'"format": 2'))


def test_a_newer_header_is_told_from_one_whose_number_is_damaged(pair: Pair) -> None:
    data = (pair.path / NAME).read_bytes()
    with pytest.raises(FormatError, match="format version 2"):
        decode_header(newer(data), "here")
    with pytest.raises(IntegrityError, match="is damaged"):
        decode_header(data.replace(b'"format": 1', b'"format": 2'), "here")


def test_a_repair_leaves_a_newer_header_alone(s3_pair: Pair) -> None:
    pair, path = s3_pair, s3_pair.path / NAME
    whole = path.read_bytes()
    path.write_bytes(newer(whole))
    with pytest.raises(FormatError):
        mend_header(pair.path, pair.remote, 1.0, SYSTEM)
    assert path.read_bytes() == newer(whole)
    path.write_bytes(whole.replace(b'"format": 1', b'"format": 2'))
    assert mend_header(pair.path, pair.remote, 1.0, SYSTEM)[0].object == NAME
    assert path.read_bytes() == whole
