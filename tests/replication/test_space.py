"""A repository keeps its bound of bytes: by what the remote copy holds, by old checkpoints, and else by an alarm."""

from __future__ import annotations

import msgspec
import pytest

from maos_ckpt.config import Config
from maos_ckpt.model import Checkpoint, PruneResult, Trigger, VerifyLevel
from maos_ckpt.operations import checkpoints, keeping
from maos_ckpt.operations.tiers import NOT_ASKED, tiers
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.prune import prune
from maos_ckpt.ratios import ratios
from maos_ckpt.replication.push import push
from maos_ckpt.repository.repository import Repository
from maos_ckpt.retention import Rules
from maos_ckpt.seams import SYSTEM
from maos_ckpt.space import Bound
from maos_ckpt.verify import verify
from tests.replication.conftest import Site


def fill(site: Site, home: Repository, number: int, first: int = 1) -> list[Checkpoint]:
    saved = []
    for seed in range(first, first + number):
        site.change(seed)
        saved.append(site.save(home, f"number {seed}"))
    return saved


def local_bytes(home: Repository) -> int:
    return sum(home.backend.list("packs").values()) + sum(home.backend.list("manifests").values())


def pruned(home: Repository, keep_last: int, bound: Bound, **more: object) -> PruneResult:
    with home.lease("prune"):
        return prune(home, keep_last, bound=bound, **more)  # type: ignore[arg-type]


def test_the_oldest_that_nothing_protects_make_room(site: Site) -> None:
    home = site.home("home")
    saved = fill(site, home, 12)
    home.set_marks(saved[1], pinned=True)
    home.set_marks(saved[2], tags=["good"])
    held = {saved[3].id: "held"}
    bound = Bound(int(local_bytes(home) * 0.9), evict=False)
    rules = Rules(tags=("good",))
    foretold = prune(home, 0, rules=rules, bound=bound, held=held, dry_run=True)
    assert len(home.checkpoints()) == 12
    done = pruned(home, 0, bound, rules=rules, held=held)
    assert local_bytes(home) <= bound.bytes_max
    assert foretold.removed == done.removed
    assert foretold.kept == done.kept
    order = [one.id for one in saved]
    protected = {order[1], order[2], order[3], order[-1]}
    assert done.removed
    assert not protected & set(done.removed)
    oldest = [one for one in order if one not in protected]
    assert set(done.removed) == set(oldest[: len(done.removed)])
    assert set(done.reasons.values()) == {f"to make room: the repository should take {bound.bytes_max:,} bytes at most"}
    assert verify(home, [], VerifyLevel.FULL).ok


def test_what_nobody_needs_goes_before_any_checkpoint(site: Site) -> None:
    home = site.home("home")
    saved = fill(site, home, 4)
    before = local_bytes(home)
    fill(site, home, 3, first=10)
    for one in home.checkpoints()[:3]:
        with home.lease("delete"):
            home.remove(one)
    result = pruned(home, 0, Bound(before + 1000, evict=False))
    assert result.removed == ()
    assert {one.id for one in home.checkpoints()} == {one.id for one in saved}


def test_a_bound_that_cannot_be_kept_is_an_alarm_and_no_error(site: Site) -> None:
    with site.home("home").lease("none"):
        pass
    config = _config(max_size_bytes=1000)
    workspace = Workspace(site.folder / "home", site.source.spec, site.claude, config, SYSTEM)
    for seed in range(1, 4):
        site.change(seed)
        checkpoints.save(workspace, Trigger.SCHEDULE, "", (), lambda _: None, keep_last=10)
    assert len(checkpoints.list_checkpoints(workspace, 10)) == 1
    told = [fields for name, fields in workspace.journal.newest_first() if name == "SpaceBoundExceeded"]
    assert len(told) == 1
    assert told[0]["bytes_max"] == 1000
    with workspace.reading() as repository:
        (local,) = tiers(repository, config.storage)
    assert local.state == "full"
    assert "storage.local.max_size_bytes (1,000)" in local.reason
    result = keeping.prune(workspace, 10, True, lambda _: None)
    assert "everything left is protected" in result.kept["space"]


def test_packs_that_the_copy_holds_make_room_before_any_checkpoint(site: Site) -> None:
    home = site.home("home")
    fill(site, home, 6)
    push(home, site.lease(home))
    # Rewriting everything once leaves the newest checkpoint's chunks in few packs.
    before = home.checkpoints()
    bound = Bound(int(local_bytes(home) * 0.97), evict=True)
    foretold = prune(home, 0, bound=bound, dry_run=True)
    result = pruned(home, 0, bound)
    assert result.removed == foretold.removed == ()
    assert result.kept["local packs"] == foretold.kept["local packs"]
    assert home.checkpoints() == before
    assert local_bytes(home) <= bound.bytes_max
    assert home.packs().keys() > home.backend.list("packs").keys()
    assert verify(home, [], VerifyLevel.FULL).ok
    # The newest checkpoint asks nobody.
    home.reader._remote = None
    assert verify(home, [home.checkpoints()[0]], VerifyLevel.FULL).ok


def test_a_pack_that_the_copy_has_lost_is_not_evicted(site: Site) -> None:
    home = site.home("home")
    fill(site, home, 6)
    push(home, site.lease(home))
    remote = home.remote_copy
    remote.uncached.delete(*[name for name, _ in remote.uncached.entries("packs")])
    packs = home.backend.list("packs")
    result = pruned(home, 100, Bound(1000, evict=True), rules=Rules(tags=("t",)), held=_all(home))
    assert "local packs" not in result.kept
    assert home.backend.list("packs") == packs
    assert "space" in result.kept


def _all(home: Repository) -> dict[str, str]:
    return {one.id: "held" for one in home.checkpoints()}


def _config(max_size_bytes: int = 0, spool_size_bytes: int = 1 << 30, **s3: str) -> Config:
    return msgspec.convert(
        {
            "storage": {
                "spool_size_bytes": spool_size_bytes,
                "local": {"max_size_bytes": max_size_bytes},
                "s3": s3,
            }
        },
        Config,
    )


#: Nothing listens there, and a save never asks.
_AWAY = {
    "bucket": "away",
    "endpoint_url": "http://127.0.0.1:9",
    "region": "us-east-1",
    "access_key_id": "k",
    "secret_access_key": "s",
}


@pytest.mark.parametrize("spool_bytes", [1 << 30, 40_000])
def test_what_is_not_replicated_yet_stays_as_long_as_the_spool_holds_it(site: Site, spool_bytes: int) -> None:
    site.home("home").close()
    config = _config(spool_size_bytes=spool_bytes, **_AWAY)
    workspace = Workspace(site.folder / "home", site.source.spec, site.claude, config, SYSTEM)
    saved = []
    for seed in range(1, 9):
        site.change(seed)
        saved.append(checkpoints.save(workspace, Trigger.SCHEDULE, "", (), lambda _: None, keep_last=2))
    left = [one.id for one in reversed(checkpoints.list_checkpoints(workspace, 100))]
    told = [fields for name, fields in workspace.journal.newest_first() if name == "SpoolOverflowed"]
    with workspace.reading() as repository:
        remote = tiers(repository, config.storage)[1]
        waiting = keeping.rules(config, repository).waiting
        assert set(waiting) == set(left)
    result = keeping.prune(workspace, 2, True, lambda _: None)
    if spool_bytes == 1 << 30:
        assert left == [one.id for one in saved]
        assert told == []
        assert remote.reason == NOT_ASKED
        assert result.kept[left[0]] == "not replicated yet"
        return
    assert left == [one.id for one in saved[-len(left) :]]
    assert 2 <= len(left) < 8
    # The newest ones stay whatever they take; what is beyond them fits.
    assert sum(waiting.values()) <= spool_bytes or len(left) == 2
    assert {one for fields in told for one in fields["checkpoints"]} == {one.id for one in saved} - set(left)  # type: ignore[attr-defined]
    assert all(fields["bytes_max"] == spool_bytes for fields in told)


def test_ratios_multiply_up_and_count_packs_that_lie_only_in_the_copy(site: Site) -> None:
    home = site.home("home")
    assert ratios(home, home.checkpoints()).whole is None
    saved = fill(site, home, 5)
    found = ratios(home, home.checkpoints())
    logical = sum(one.logical_bytes for one in saved)
    assert found.whole == round(logical / home.stored_bytes(), 3)
    assert found.codec is not None
    assert found.dedup is not None
    assert found.codec > found.dedup > 1
    # What packs carry beside payloads (indexes), and manifests, make the whole a little less than the product.
    assert 0.7 < found.whole / (found.codec * found.dedup) < 1
    push(home, site.lease(home))
    pruned(home, 0, Bound(int(local_bytes(home) * 0.97), evict=True))
    assert ratios(home, home.checkpoints()).whole == found.whole
