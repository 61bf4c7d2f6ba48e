"""Every single-byte change of every object of a small repository is found, and repaired from the other tier.

All bytes of both tiers are enumerated with the remote copy in memory; with a real S3 server every object is changed
at some of its bytes. What counts: header, manifests, packs and marks. Leases, announcements, journal and caches carry
nothing that a checkpoint needs.
"""

from __future__ import annotations

import random

import pytest

from maos_ckpt.backends.base import HEADER_NAME
from maos_ckpt.errors import FormatError, IntegrityError
from maos_ckpt.integrity.headers import mend_header
from maos_ckpt.model import VerifyLevel, VerifyTier
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.verify import verify

from .conftest import Pair


def changed(data: bytes, at: int, rng: random.Random) -> bytes:
    return data[:at] + bytes([data[at] ^ rng.randrange(1, 256)]) + data[at + 1 :]


def check_found_and_repaired(pair: Pair, tier: str, name: str, *, first_look: bool = True) -> None:
    """A repair finds by the same look as a verification without it, so that one is not taken at every byte."""
    if first_look:
        result = verify(pair.home, [], VerifyLevel.FULL)
        assert not result.ok, name
        assert [(one.tier, one.object) for one in result.unrepaired] == [(tier, name)]
    with pair.home.lease("repair"):
        result = verify(pair.home, [], VerifyLevel.FULL, repair=True)
    assert result.ok, result.findings
    assert [(one.tier, one.object) for one in result.repaired] == [(tier, name)]
    [kept] = pair.kept_aside()
    assert [f"quarantine/{kept.name}"] == [one.detail for one in result.quarantined]
    kept.unlink()


def test_every_changed_byte_of_the_home_is_found_and_repaired(pair: Pair) -> None:
    rng = random.Random(1)
    assert verify(pair.home, [], VerifyLevel.FULL).ok
    for name, data in pair.here().items():
        if name == HEADER_NAME:
            continue
        for at in range(len(data)):
            (pair.path / name).write_bytes(changed(data, at, rng))
            pair.home.reader.forget(name)
            check_found_and_repaired(pair, "local", name, first_look=at % 4 == 0)
            assert (pair.path / name).read_bytes() == data
    assert verify(pair.reopen(), [], VerifyLevel.FULL).ok


def test_every_changed_byte_of_the_remote_copy_is_found_and_repaired(pair: Pair) -> None:
    rng = random.Random(2)
    for name, data in pair.there().items():
        for at in range(len(data)):
            pair.bucket.replace(name, changed(data, at, rng))
            check_found_and_repaired(pair, "s3", name, first_look=at % 4 == 0)
            assert pair.bucket.read(name, 1 << 20) == data


def test_every_changed_byte_of_the_header_keeps_the_home_from_being_opened_until_it_is_repaired(
    s3_pair: Pair,
) -> None:
    rng = random.Random(3)
    path = s3_pair.path / HEADER_NAME
    whole = path.read_bytes()
    s3_pair.home.close()
    for at in range(len(whole)):
        path.write_bytes(changed(whole, at, rng))
        with pytest.raises((IntegrityError, FormatError)):
            Repository.open(s3_pair.path, SYSTEM)
        if at % 80 == 0:
            repaired, kept = mend_header(s3_pair.path, s3_pair.remote, 1.0, SYSTEM)
            assert repaired.object == HEADER_NAME
            assert (s3_pair.path / kept.detail).read_bytes() != whole
            assert path.read_bytes() == whole
    path.write_bytes(whole)
    assert verify(s3_pair.reopen(), [], VerifyLevel.FULL).ok


def test_changed_bytes_of_every_object_in_a_real_bucket_are_found_and_repaired(s3_pair: Pair) -> None:
    rng = random.Random(4)
    for name, data in s3_pair.there().items():
        for at in (0, rng.randrange(1, len(data) - 1), len(data) - 1):
            s3_pair.bucket.replace(name, changed(data, at, rng))
            check_found_and_repaired(s3_pair, "s3", name)
            assert s3_pair.bucket.read(name, 1 << 20) == data
    result = verify(s3_pair.home, [], VerifyLevel.FULL, tier=VerifyTier.S3)
    assert result.ok
    assert [one.tier for one in result.tiers if one.bytes] == ["s3"]


@pytest.mark.parametrize("tier", ["local", "s3"])
def test_what_a_real_bucket_holds_mends_the_home_and_the_other_way_round(s3_pair: Pair, tier: str) -> None:
    """Whole objects are gone."""
    names = [name for name in s3_pair.here() if name != HEADER_NAME]
    for name in names:
        before = s3_pair.here()
        if tier == "local":
            (s3_pair.path / name).unlink()
            s3_pair.home.reader.forget(name)
        else:
            s3_pair.bucket.delete(name)
        with s3_pair.home.lease("repair"):
            result = verify(s3_pair.home, [], VerifyLevel.STANDARD, repair=True, complete=True)
        assert result.ok, result.findings
        assert [(one.tier, one.object) for one in result.repaired] == [(tier, name)]
        assert result.quarantined == ()
        assert s3_pair.here() == before
        assert {one: s3_pair.there()[one] for one in before} == before
