"""An encrypted repository: it does all that a plain one does, shows nothing, and takes nothing that is not its own."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maos_ckpt.codec.policy import CodecSettings
from maos_ckpt.codec.secret import Secret
from maos_ckpt.codec.slots import decode_slot
from maos_ckpt.errors import CkptError, FormatError, IntegrityError, PermissionRefusedError
from maos_ckpt.model import VerifyLevel
from maos_ckpt.prune import prune
from maos_ckpt.replication.bundles import Bundle, decode_bundle, encode_bundle
from maos_ckpt.repository.manifests import decode_manifest, manifest_name, marks_name
from maos_ckpt.repository.marks import MarkStore
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.verify import verify

from .conftest import Shelf
from .savers import Saver, roots

KEY = Secret("key_file", bytes(range(64)))


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path, KEY)
    yield made
    made.repository.close()


def test_it_saves_verifies_marks_and_prunes_like_any_other(sealed: Shelf) -> None:
    first = sealed.save("first")
    for seed in range(4):
        sealed.change(seed)
        sealed.save()
    repository = sealed.reopen()
    with repository.lease("tag"):
        repository.set_marks(repository.resolve(first.id), pinned=True, tags=["keep"])
        prune(repository, 1)
    repository = sealed.reopen()
    found = repository.resolve(first.id)
    assert (found.pinned, found.tags, found.description) == (True, ("keep",), "first")
    assert len(repository.checkpoints()) == 2
    assert verify(repository, [], VerifyLevel.FULL).findings == ()


def test_nothing_that_is_stored_shows_what_it_is(sealed: Shelf) -> None:
    checkpoint = sealed.save("a secret description")
    with sealed.repository.lease("tag"):
        sealed.repository.set_marks(checkpoint, tags=["secret-tag"])
    stored = [path for place in ("packs", "manifests", "marks", "keys") for path in (sealed.path / place).rglob("*")]
    files = [path.read_bytes() for path in stored if path.is_file()]
    assert len(files) == 4
    words = (b"secret", b"agents", b"transcript", b"\x28\xb5\x2f\xfd", checkpoint.digest, checkpoint.descriptors)
    assert [(word, data[:4]) for word in words for data in files if word in data] == []


def test_a_process_beside_it_stores_under_the_same_key(sealed: Shelf) -> None:
    rng = random.Random(1)
    chunks = [rng.randbytes(5000) for _ in range(20)]
    with sealed.repository.lease("save"):
        writer = sealed.repository.writer(CodecSettings(), {}, 1 << 20, beside=True)
        names = [writer.put(plain, "test").result() for plain in chunks]
        writer.seal()
        writer.close()
    repository = sealed.reopen()
    assert [repository.chunks.read(name) for name in names] == chunks


@pytest.mark.parametrize("key", [None, Secret("key_file", bytes(64)), Secret("passphrase", b"wrong words")])
def test_without_the_key_it_does_not_open(sealed: Shelf, key: Secret | None) -> None:
    sealed.save()
    with pytest.raises(PermissionRefusedError):
        Repository.open(sealed.path, SYSTEM, key=key)


def fields(header: Path) -> dict[str, object]:
    """A header's fields; the checksum would only show that somebody has changed one without care."""
    found: dict[str, object] = json.loads(header.read_text())
    found.pop("checksum", None)
    return found


def test_a_replaced_header_does_not_make_the_next_save_write_in_the_clear(sealed: Shelf) -> None:
    header = sealed.path / "maos-ckpt.json"
    header.write_text(json.dumps(fields(header) | {"features": []}))
    with pytest.raises(IntegrityError, match="not encrypted, although"):
        sealed.reopen()


def test_objects_in_the_clear_are_refused(sealed: Shelf, tmp_path: Path) -> None:
    sealed.save()
    plain = Shelf(tmp_path / "other")
    plain.save()
    manifest = sealed.path / "manifests" / "000000000002"
    manifest.write_bytes((plain.path / "manifests" / "000000000001").read_bytes())
    (pack,) = plain.packs()
    place = sealed.path / pack.relative_to(plain.path)
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(pack.read_bytes())
    repository = sealed.reopen()
    messages = {one.message for one in verify(repository, [], VerifyLevel.STANDARD).findings}
    assert any("manifests/000000000002 is not encrypted" in one for one in messages)
    assert any(f"{pack.name} is not encrypted" in one for one in messages)
    plain.repository.close()


def test_unreadable_marks_still_pin(sealed: Shelf) -> None:
    checkpoint = sealed.save()
    (sealed.path / marks_name(checkpoint.id)).write_bytes(b'{"tags": [], "pinned": false}')
    assert sealed.reopen().resolve(checkpoint.id).pinned


def test_every_flip_in_a_pack_or_manifest_is_found_by_a_full_verification(sealed: Shelf) -> None:
    sealed.save()
    rng = random.Random(5)
    for path in [*sealed.packs(), *(sealed.path / "manifests").iterdir()]:
        whole = path.read_bytes()
        for at in [*range(8), *range(len(whole) - 8, len(whole)), *(rng.randrange(len(whole)) for _ in range(12))]:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
            assert not verify(sealed.reopen(), [], VerifyLevel.FULL).ok, (path.parent.name, at)
        path.write_bytes(whole)
    assert verify(sealed.reopen(), [], VerifyLevel.FULL).ok


def test_every_flipped_byte_of_every_small_object_is_noticed(sealed: Shelf) -> None:
    checkpoint = sealed.save()
    repository = sealed.repository
    with repository.lease("tag"):
        repository.set_marks(checkpoint, tags=["one"])
    bundle = Bundle([(manifest_name(1), b"bytes of a manifest")], [])
    stored = {f"bundles/{1:012d}_000": encode_bundle(bundle, f"bundles/{1:012d}_000", repository.sealer)}
    for directory in ("manifests", "marks", "keys"):
        stored |= {name: repository.backend.read(name, 1 << 20) for name in repository.backend.list(directory)}
    readers: dict[str, Callable[[str, bytes], object]] = {
        "manifests": lambda name, data: decode_manifest(data, name, repository.sealer),
        "marks": lambda name, data: MarkStore(repository.backend, repository.sealer).opened(name, data),
        "keys": lambda name, data: decode_slot(name, data, repository.header.id),
        "bundles": lambda name, data: decode_bundle(data, name, repository.sealer),
    }
    assert {name.partition("/")[0] for name in stored} == readers.keys()
    for name, data in stored.items():
        read = readers[name.partition("/")[0]]
        read(name, data)
        for at in range(len(data)):
            for bit in range(8):
                with pytest.raises((IntegrityError, FormatError)):
                    read(name, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])


def test_a_save_by_pages_gives_the_roots_of_a_whole_one(tmp_path: Path, shelf: Shelf) -> None:
    saver = Saver(tmp_path / "sealed", shelf.source, KEY)
    saver.save()
    for seed in range(3):
        shelf.change(seed)
        guided = saver.save()
        assert len(saver.images()) == 1
        saver.forget()
        assert roots(saver.save()) == roots(guided)
    assert verify(saver.repository, [], VerifyLevel.FULL).findings == ()
    saver.repository.close()


def test_a_process_beside_does_not_write_into_another_repository_under_this_key(sealed: Shelf) -> None:
    sealed.save()
    header = sealed.path / "maos-ckpt.json"
    with sealed.repository.lease("save"):
        other = f"{int(sealed.repository.header.id, 16) ^ 1:032x}"
        header.write_text(json.dumps(fields(header) | {"id": other}))
        writer = sealed.repository.writer(CodecSettings(), {}, 1 << 20, beside=True)
        with pytest.raises(CkptError):
            writer.put(b"a chunk" * 100, "test").result()
        writer.close()
