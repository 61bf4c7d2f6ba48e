"""An encrypted system in a bucket: it comes back with its key, shows nothing, and takes nothing that is not its own."""

from __future__ import annotations

import dataclasses
import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from maos_ckpt.codec.policy import CodecSettings
from maos_ckpt.codec.secret import key_file
from maos_ckpt.config import Config
from maos_ckpt.config.types import S3Storage, Storage
from maos_ckpt.errors import IntegrityError, PermissionRefusedError
from maos_ckpt.model import VerifyLevel
from maos_ckpt.operations import keys
from maos_ckpt.operations.remotes import ensure_home
from maos_ckpt.operations.unlocking import KeyHolder
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.prune import prune
from maos_ckpt.replication import bundles
from maos_ckpt.replication.doomed import read_doomed
from maos_ckpt.replication.pull import make_home, pull
from maos_ckpt.replication.push import push
from maos_ckpt.repository.adoption import adopt
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.verify import verify
from tests.replication.conftest import Site

MARKER = "heliotrope-9f31"


def secret(site: Site, seed: int) -> str:
    path = site.folder / f"key{seed}"
    path.write_bytes(random.Random(seed).randbytes(64))
    return f"file:{path}"


def sealed_home(site: Site, name: str = "home") -> Repository:
    """A new encrypted home; key 1 opens it."""
    key = key_file(Path(secret(site, 1).removeprefix("file:")))
    return Repository.open_or_create(site.folder / name, site.source.spec, SYSTEM, remote=site.remote, key=key)


def config(reference: str) -> Config:
    return Config(encryption_enabled=True, encryption_key=reference)


def brought_back(site: Site, reference: str, name: str = "other") -> Repository:
    return make_home(site.folder / name, site.remote, SYSTEM, KeyHolder().unlocker(config(reference)))


def objects(repository: Repository) -> dict[str, bytes]:
    """Everything that lies in the bucket."""
    backend = repository.remote_copy.uncached
    names = ["maos-ckpt.json"]
    for directory in ("packs", "manifests", "marks", "keys", "bundles", "doomed", "lease", "leases"):
        names += [name for name, _ in backend.entries(directory)]
    return {name: backend.read(name, 64 << 20) for name in names}


@pytest.fixture
def pushed(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A system with a bundle, marks, a doomed pack and a marked word in its records and descriptions."""
    monkeypatch.setattr(bundles, "MANIFESTS_MIN", 3)
    with closing(sealed_home(site)) as home:
        for seed in range(1, 5):
            site.change(seed)
            (site.directory / ".claude" / "agents").mkdir(parents=True, exist_ok=True)
            (site.directory / ".claude" / "agents" / "word.md").write_text(f"{MARKER} {seed}")
            site.save(home, f"{MARKER} {seed}")
        home.set_marks(home.checkpoints()[0], tags=[MARKER])
        lease = site.lease(home)
        with home.lease("save"):
            writer = home.writer(CodecSettings(), {}, 1000)
            writer.put(b"of no checkpoint" * 100, "test").result()
            writer.seal()
        push(home, lease)
        with home.lease("prune"):
            prune(home, 0)
        push(home, lease)
        lease.release()
        yield home


def test_a_lost_machine_comes_back_from_bucket_and_key(site: Site) -> None:
    with closing(sealed_home(site)) as home:
        for seed in range(1, 4):
            site.change(seed)
            site.save(home, f"number {seed}")
        push(home, site.lease(home))
        listed = home.checkpoints()
    shutil.rmtree(home.path)
    with closing(brought_back(site, secret(site, 1))) as other:
        assert pull(other) == 3
        assert [one.id for one in other.checkpoints()] == [one.id for one in listed]
        assert other.backend.list("packs") == {}
        assert verify(other, [], VerifyLevel.FULL).findings == ()


def test_without_the_right_key_no_home_is_made(site: Site, pushed: Repository) -> None:
    with pytest.raises(PermissionRefusedError, match="opens none"):
        brought_back(site, secret(site, 2))
    with pytest.raises(PermissionRefusedError, match="encrypted"):
        ensure_home(site.folder / "other", site.remote, SYSTEM, KeyHolder().unlocker(Config()))
    assert not (site.folder / "other").exists()


def test_nothing_in_the_bucket_shows_what_it_holds(pushed: Repository) -> None:
    found = objects(pushed)
    kinds = {name.partition("/")[0] for name in found}
    assert kinds >= {"packs", "manifests", "marks", "keys", "bundles", "doomed", "maos-ckpt.json"}
    zstd = b"\x28\xb5\x2f\xfd"
    assert [name for name, data in found.items() if MARKER.encode() in data or zstd in data[:64]] == []


def test_every_object_of_a_plain_system_is_refused_in_an_encrypted_one(site: Site, pushed: Repository) -> None:
    remote, sealer = pushed.remote_copy, pushed.sealer
    bundle = next(name for name in objects(pushed) if name.startswith("bundles/"))
    with pytest.raises(IntegrityError, match="not encrypted, but"):
        bundles.decode_bundle(b"MCKB" + bytes(64), bundle, sealer)
    with closing(site.home("plain")) as plain:
        site.save(plain)
        (manifest,) = plain.backend.list("manifests")
        data = plain.backend.read(manifest, 1 << 20)
        adopt(pushed, "manifests/000000000099", data, 0)
        assert "is not encrypted, but" in pushed.damaged_manifests()["manifests/000000000099"]
        pushed.adopt_marks("marks/sequence.json", b"777777", b"")
        assert pushed.next_seq() == 100
        (pack,) = plain.backend.list("packs")
        target = pushed.backend.path(pack)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(plain.backend.path(pack), target)
        pushed.synchronise()
        assert "is not encrypted, but" in pushed.damaged_packs[pack].message
        # The other way round.
        sealed = next(name for name in pushed.backend.list("manifests"))
        adopt(plain, sealed, pushed.backend.read(sealed, 1 << 20), 0)
        assert "is encrypted, but" in plain.damaged_manifests()[sealed]
        with pytest.raises(IntegrityError, match="is encrypted, but"):
            bundles.decode_bundle(remote.backend.read(bundle, 1 << 20), bundle, plain.sealer)


def test_an_announcement_in_the_clear_dooms_nothing(pushed: Repository) -> None:
    remote = pushed.remote_copy
    kept = next(iter(pushed.backend.list("packs")))
    assert kept not in remote.memory.doomed("packs")
    remote.uncached.replace("doomed/packs.json", msgspec.json.encode({kept: 1}))
    assert read_doomed(remote) == {}


def test_marks_that_somebody_planted_do_not_unpin(site: Site, pushed: Repository) -> None:
    checkpoint = pushed.checkpoints()[0]
    pushed.set_marks(checkpoint, pinned=True)
    push(pushed, site.lease(pushed))
    plain = b'{"tags":[],"pinned":false,"damaged":false}\n'
    pushed.remote_copy.uncached.replace(f"marks/{checkpoint.id}.json", plain)
    pull(pushed)
    assert pushed.resolve(checkpoint.id).pinned


def test_a_replaced_key_reaches_the_bucket_and_the_other_machine(site: Site, pushed: Repository) -> None:
    before = pushed.remote_copy.memory.below("packs")
    second = brought_back(site, secret(site, 1), "second")
    pull(second)
    given = dataclasses.asdict(site.remote.s3)
    s3 = S3Storage(**{name: given[name] for name in S3Storage.__struct_fields__ if name in given})
    settings = msgspec.structs.replace(config(secret(site, 1)), storage=Storage(s3=s3))
    workspace = Workspace(pushed.path, site.source.spec, site.claude, settings, SYSTEM)
    rotated = keys.rotate_key(workspace, secret(site, 2), "new")
    push(pushed, site.lease(pushed))
    assert list(dict(pushed.remote_copy.uncached.entries("keys"))) == [f"keys/{rotated.slot.id}.json"]
    assert pushed.remote_copy.memory.below("packs") == before
    with pytest.raises(PermissionRefusedError):
        brought_back(site, secret(site, 1), "third")
    pull(second)
    assert list(second.backend.list("keys")) == [f"keys/{rotated.slot.id}.json"]
    second.close()
    with closing(brought_back(site, secret(site, 2), "third")) as third:
        pull(third)
        assert verify(third, [], VerifyLevel.STANDARD).ok
