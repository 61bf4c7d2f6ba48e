"""A prune, a compaction and an eviction beside a remote copy, stopped before every step that changes something.

The remote copy is a directory here, so that every round starts from the same bytes; that backend passes the same
conformance suite as S3 does.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from maos_ckpt import compact as compaction
from maos_ckpt import prune as pruning
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.backends.read_cache import CacheSettings
from maos_ckpt.backends.s3_settings import S3Settings
from maos_ckpt.codec.compression import Codec
from maos_ckpt.compact import compact
from maos_ckpt.model import VerifyLevel
from maos_ckpt.prune import prune
from maos_ckpt.replication.doomed import GRACE_S
from maos_ckpt.replication.pull import pull
from maos_ckpt.replication.push import push
from maos_ckpt.repository import connect
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.index import ChunkIndex
from maos_ckpt.repository.remote import MIRRORED
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.remote_memory import RemoteMemory
from maos_ckpt.repository.repository import Repository
from maos_ckpt.space import Bound
from maos_ckpt.verify import verify
from tests.engine.clocks import VirtualClock, seams_with
from tests.replication.conftest import Site

#: Everything by which these operations change what is stored.
_STEPS: tuple[tuple[type, str], ...] = (
    (LocalBackend, "publish"),
    (LocalBackend, "create"),
    (LocalBackend, "delete"),
    (ChunkIndex, "add_pack"),
    (ChunkIndex, "remove_pack"),
    (RemoteMemory, "doom_known"),
)
STEPS_MAX = 300
#: What each of the operations does, by kind of step and of object, in the order in which it first does so.
_REMOVE = ["doom_known manifests", "delete manifests", "delete marks"]
_REWRITE = ["publish packs", "add_pack packs", "remove_pack packs", "doom_known packs", "delete packs"]
EXPECTED = {
    "prune": [*_REMOVE, *_REWRITE],
    "compact": [*_REWRITE, "create cache", "publish cache"],
    "make-room": [*_REMOVE, "remove_pack packs", "doom_known packs", "delete packs", "publish packs", "add_pack packs"],
}


class Stopped(BaseException):
    """The process is gone."""


class Stop:
    """Lets so many steps happen, and none after them."""

    def __init__(self, patch: pytest.MonkeyPatch, steps: int) -> None:
        self.left = steps
        #: "step directory" of each step that happened.
        self.seen: list[str] = []
        for cls, name in _STEPS:
            patch.setattr(cls, name, self._counting(name, getattr(cls, name)))

    def _counting(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **more: object) -> object:
            if self.left == 0:
                raise Stopped
            self.left -= 1
            # `publish` is given a temporary file and the object's name.
            self.seen.append(f"{name} {str(arguments[2 if name == 'publish' else 1]).partition('/')[0]}")
            return real(*arguments, **more)

        return step


class World:
    """A home and its remote copy, as they were before; each round works on copies."""

    def __init__(self, site: Site, patch: pytest.MonkeyPatch) -> None:
        self.site = site
        self.copy = Path()
        self.clock = VirtualClock()
        self.seams = seams_with(self.clock)
        patch.setattr(connect, "connected", lambda *_, **__: LocalBackend(self.copy, self.seams))
        self.before = site.folder / "before"
        home = self.open(self.before, create=True)
        for seed in range(1, 6):
            site.change(seed)
            site.save(home)
            if seed == 4:
                lease = self._lease(home)
                push(home, lease)
                # Copies of a home are other homes; none has to wait for this one to be given up.
                lease.release()
        # Some packs lie in the copy alone, and two checkpoints lie here alone.
        for one in home.checkpoints()[1:3]:
            home.evict_pack(one.pack)
        self.digests = {one.id: one.digest for one in home.checkpoints()}
        home.close()

    def open(self, folder: Path, *, create: bool = False) -> Repository:
        settings = RemoteSettings(S3Settings(bucket="unused", prefix="p", region="us-east-1"), CacheSettings(0, 0))
        make = Repository.open_or_create if create else _open
        self.copy = folder / "copy"
        LocalBackend(self.copy, self.seams).make_directories(["tmp", "leases", "doomed", *MIRRORED])
        return make(folder / "home", self.site.source.spec, self.seams, remote=settings)

    def _lease(self, home: Repository) -> RemoteLease:
        return RemoteLease(home.remote_copy, str(home.path), self.seams)

    def round(self, number: int) -> Path:
        folder = self.site.folder / f"round-{number}"
        shutil.copytree(self.before, folder)
        return folder

    def check(self, folder: Path) -> None:
        """Everything left is whole, here and in the copy, also after the next prune and its deletions there."""
        home = self.open(folder)
        left = {one.id: one.digest for one in home.checkpoints()}
        assert left.items() <= self.digests.items()
        assert home.checkpoints()[0].id == next(iter(self.digests))
        assert verify(home, [], VerifyLevel.FULL).ok
        lease = self._lease(home)
        push(home, lease)
        with home.lease("prune"):
            prune(home, 2)
        push(home, lease)
        self.clock.sleep(GRACE_S + 1)
        push(home, lease)
        home.remote_copy.refresh()
        assert len(home.remote_copy.memory.below("manifests")) == len(home.checkpoints())
        # Another machine, that has nothing but the copy.
        shutil.rmtree(folder / "home" / "packs")
        (folder / "home" / "packs").mkdir()
        shutil.rmtree(folder / "home" / "cache")
        home.close()
        again = self.open(folder)
        pull(again)
        assert again.backend.list("packs") == {}
        assert verify(again, [], VerifyLevel.FULL).ok
        again.close()
        shutil.rmtree(folder)


def _open(path: Path, _: str, seams: object, *, remote: RemoteSettings) -> Repository:
    return Repository.open(path, seams, remote=remote)  # type: ignore[arg-type]


def _prune(home: Repository) -> None:
    with home.lease("prune"):
        prune(home, 2)


def _compact(home: Repository) -> None:
    with home.lease("compact"):
        compact(home, 1e9)


def _make_room(home: Repository) -> None:
    with home.lease("prune"):
        prune(home, 0, bound=Bound(home.stored_bytes() // 2, evict=True))


@pytest.mark.parametrize("work", [_prune, _compact, _make_room], ids=["prune", "compact", "make-room"])
def test_a_stop_before_any_step_loses_nothing(
    site: Site, work: Callable[[Repository], None], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    # So that a small state gives every branch something to do.
    monkeypatch.setattr(pruning, "_LIVE_SHARE_MIN", 0.95)
    monkeypatch.setattr(pruning, "_LIVE_SHARE_MIN_FULL", 0.99)
    monkeypatch.setattr(compaction, "COLD_AFTER", 1)
    monkeypatch.setattr(compaction, "SMALL_BYTES", 1000)
    monkeypatch.setattr(compaction, "CANDIDATES", ((Codec.ZSTD, 12, 1.0),))
    world = World(site, monkeypatch)
    for steps in range(STEPS_MAX):
        folder = world.round(steps)
        home = world.open(folder)
        try:
            with monkeypatch.context() as patch:
                stop = Stop(patch, steps)
                work(home)
            break
        except Stopped:
            pass
        finally:
            home.close()
        world.check(folder)
    else:
        pytest.fail("the work never ended")
    assert list(dict.fromkeys(stop.seen)) == EXPECTED[request.node.callspec.id]
    world.check(folder)
