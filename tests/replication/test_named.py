"""A command that names the bucket itself looks at the bucket, also on the machine that writes there."""

from __future__ import annotations

import dataclasses
import logging

import msgspec
import pytest

from maos_ckpt.config import Config
from maos_ckpt.errors import LeaseHeldError
from maos_ckpt.model import CheckpointState
from maos_ckpt.operations import remotes
from maos_ckpt.operations.checkpoints import list_checkpoints, only_far
from maos_ckpt.operations.systems import find_systems
from maos_ckpt.operations.tiers import replicate
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.replication.removed import Removed
from maos_ckpt.repository.lease_objects import Holder
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from tests.engine.clocks import VirtualClock, seams_with
from tests.replication.conftest import Site


def configured(site: Site, endpoint: str = "") -> Config:
    found, config = site.remote.s3, Config()
    prefix, _, system = found.prefix.rpartition("/")
    s3 = msgspec.structs.replace(
        config.storage.s3,
        bucket=found.bucket,
        prefix=prefix,
        endpoint_url=endpoint or found.endpoint_url,
        access_key_id=found.access_key_id,
        secret_access_key=found.secret_access_key,
    )
    return msgspec.structs.replace(config, system=system, storage=msgspec.structs.replace(config.storage, s3=s3))


def written(site: Site) -> Repository:
    """The home that writes, with a replicated checkpoint."""
    home = site.home("home")
    site.save(home)
    lease = site.lease(home)
    replicate(home, lease)
    lease.release()
    return home


def test_the_writers_own_machine_looks_at_a_bucket_that_is_named(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remotes, "NAMED_S", 0.0)
    home = written(site)
    usual = Workspace(home.path, site.source.spec, site.claude, configured(site), SYSTEM)
    named = dataclasses.replace(usual, names_remote=True)
    assert list_checkpoints(named, 10, None)[0].state is CheckpointState.REPLICATED
    # Somebody empties the bucket of its packs.
    bucket = home.remote_copy.uncached
    bucket.delete(*(name for name, _ in bucket.entries("packs")))
    assert list_checkpoints(usual, 10, None)[0].state is CheckpointState.REPLICATED
    assert list_checkpoints(named, 10, None)[0].state is CheckpointState.COMMITTED
    away = dataclasses.replace(named, config=configured(site, "http://127.0.0.1:9"))
    with caplog.at_level(logging.WARNING):
        assert len(list_checkpoints(away, 10, None)) == 1
    assert "What this machine knows of s3://" in caplog.text
    home.close()


def test_manifests_that_are_gone_here_are_told_of_where_the_bucket_holds_them(site: Site) -> None:
    home = written(site)
    usual = Workspace(home.path, site.source.spec, site.claude, configured(site), SYSTEM)
    assert only_far(usual) == 0
    for path in (home.path / "manifests").iterdir():
        path.unlink()
    assert only_far(usual) == 1
    home.close()


def test_stray_objects_among_the_manifests_have_no_number(site: Site) -> None:
    home = written(site)
    for stray in ("manifests/foo", "manifests/1_0", "manifests/000000000009.json", "manifests/9999999999999"):
        home.remote_copy.uncached.create(stray, b"stray")
        assert stray not in Removed(((1, 10**12),))
        assert Removed(((1, 3),)).with_names([stray]).without(stray).ranges == ((1, 3),)
    (one,) = find_systems(configured(site), SYSTEM).systems
    assert (one.checkpoints, one.newest) == (1, 1)
    site.save(home)
    assert replicate(home, site.lease(home)).replicated
    home.close()


def test_who_must_wait_is_told_for_how_long(site: Site) -> None:
    clock = VirtualClock()
    home = site.home("home", seams_with(clock))
    holder = Holder("another home", "far", 77, clock.now_ms() - 40_000, "beat")
    home.remote_copy.uncached.create("leases/000000000001", msgspec.json.encode(holder))
    with pytest.raises(LeaseHeldError, match=r"process 77 on far, for 4\d s; silent for 0 s"):
        site.lease(home).acquire()
    clock.sleep(50.0)
    with pytest.raises(LeaseHeldError, match=r"for 9\d s; silent for 5\d s") as caught:
        site.lease(home).acquire()
    assert "this machine takes over when" in caught.value.hint
    clock.sleep(home.remote_copy.timing.time_to_live_s)
    lease = site.lease(home)
    lease.acquire()
    assert lease.number == 2
    home.close()
