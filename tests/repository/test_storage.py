"""Packs, chunks and manifests: what is stored comes back verified, and every fault is named, never returned."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import random
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maos_ckpt.codec.compression import LEVELS, Codec, compress, compress_delta, decompress
from maos_ckpt.codec.copying import copy_delta
from maos_ckpt.codec.crypto import PlainSealer
from maos_ckpt.codec.policy import CodecPolicy, CodecSettings, Measure, pick
from maos_ckpt.errors import (
    CkptError,
    ForeignRepositoryError,
    FormatError,
    IntegrityError,
    LeaseHeldError,
    NotFoundError,
    StorageError,
    UsageError,
)
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.repository import chunk_writer
from maos_ckpt.repository.manifests import (
    Manifest,
    ManifestCollection,
    decode_manifest,
    encode_manifest,
    manifest_name,
    state_digest,
)
from maos_ckpt.repository.replacing import digest
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.tree.nodes import chunk_id

SPEC = "sqlite:/srv/state.db"


def open_repository(path: Path) -> Repository:
    return Repository.open_or_create(path / "repo", SPEC, SYSTEM)


def text(rng: random.Random, length: int) -> bytes:
    words = [rng.randbytes(3).hex() for _ in range(200)]
    return " ".join(rng.choice(words) for _ in range(length // 6)).encode()


def store(
    repository: Repository,
    plains: list[bytes],
    predecessors: dict[bytes, bytes] | None = None,
    *,
    beside: bool = False,
    hasty: bool = False,
) -> list[bytes]:
    writer = repository.writer(CodecSettings(hasty=hasty), {}, 1 << 20, beside=beside)
    try:
        futures = [writer.put(plain, "test", (predecessors or {}).get(plain)) for plain in plains]
        ids = [future.result() for future in futures]
        writer.seal()
    finally:
        writer.close()
    return ids


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(LEVELS)), st.binary(max_size=3000))
def test_every_codec_gives_back_what_it_was_given(codec: Codec, raw: bytes) -> None:
    payload = compress(codec, LEVELS[codec][2], raw)
    assert decompress(codec, payload, len(raw)) == raw


@pytest.mark.parametrize("codec", sorted(LEVELS))
def test_a_payload_that_unpacks_to_more_than_its_index_says_is_refused(codec: Codec) -> None:
    payload = compress(codec, LEVELS[codec][2], bytes(1 << 20))
    with pytest.raises(IntegrityError):
        decompress(codec, payload, 1000)
    with pytest.raises(IntegrityError):
        decompress(codec, payload, 1 << 40)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*sorted(LEVELS), Codec.ZSTD_DELTA, 77]), st.binary(max_size=200), st.integers(0, 300))
def test_garbage_never_decompresses_to_anything_but_an_integrity_error(codec: int, payload: bytes, raw: int) -> None:
    with contextlib.suppress(IntegrityError):
        assert len(decompress(codec, payload, raw, b"base" * 20)) == raw


def test_a_delta_is_small_and_needs_its_base() -> None:
    rng = random.Random(1)
    base = text(rng, 100_000)
    new = base[:40_000] + b"changed" + base[40_010:]
    payload = compress_delta(new, base)
    assert len(payload) < 200
    assert decompress(Codec.ZSTD_DELTA, payload, len(new), base) == new
    with pytest.raises(IntegrityError):
        decompress(Codec.ZSTD_DELTA, payload, len(new), None)


def test_the_adaptive_choice_takes_the_densest_codec_that_is_through_in_time() -> None:
    measures = {
        (Codec.LZ4, 0): Measure(2.0, 500e6),
        (Codec.ZSTD, 3): Measure(3.0, 200e6),
        (Codec.BROTLI, 5): Measure(3.5, 40e6),
    }
    assert pick(measures, 1_000_000, 2.0) == (Codec.BROTLI, 5)
    assert pick(measures, 400_000_000, 2.0) == (Codec.ZSTD, 3)
    assert pick(measures, 4_000_000_000, 2.0) == (Codec.LZ4, 0)
    assert pick({one: Measure(1.0, 1e9) for one in measures}, 1000, 2.0) == (Codec.NONE, 0)


def test_the_policy_measures_before_it_chooses() -> None:
    policy = CodecPolicy(CodecSettings(deadline_s=5.0), SYSTEM.clock, expected_bytes=10_000_000)
    raw = text(random.Random(2), 100_000)
    codec, level = policy.choose("memory/sessions", len(raw))
    policy.compress("memory/sessions", codec, level, raw)
    measured = policy.measures["memory/sessions"]
    assert {one for one, _ in measured} >= {Codec.ZSTD, Codec.LZ4, Codec.GZIP, Codec.BROTLI}
    assert all(one.ratio > 1 and one.bytes_per_s > 0 for one in measured.values())


def test_chunks_come_back_verified_and_equal_chunks_are_stored_once(tmp_path: Path) -> None:
    repository = open_repository(tmp_path)
    rng = random.Random(3)
    plains = [b"\x92\x02" + text(rng, 50_000) for _ in range(5)]
    ids = store(repository, plains + plains[:2])
    assert ids[:5] == [chunk_id(plain) for plain in plains]
    assert [repository.chunks.read(one) for one in ids[:5]] == plains
    assert store(repository, plains) == ids[:5]
    assert len(repository.index.packs()) == 1
    repository.close()


def test_a_process_beside_this_one_stores_the_same(tmp_path: Path) -> None:
    repository = open_repository(tmp_path)
    rng = random.Random(9)
    plains = [b"\x92\x02" + text(rng, 90_000) for _ in range(200)]
    ids = store(repository, plains, beside=True)
    assert ids == [chunk_id(plain) for plain in plains]
    repository.close()
    reader = Repository.open(tmp_path / "repo", SYSTEM, read_only=True)
    assert [reader.chunks.read(one) for one in ids] == plains
    reader.close()


def test_an_error_in_the_process_beside_comes_back_as_itself(tmp_path: Path) -> None:
    repository = open_repository(tmp_path)
    (tmp_path / "repo" / "maos-ckpt.json").write_text('{"format": 99}')
    with pytest.raises(FormatError, match="format version 99"):
        store(repository, [b"\x92\x02" + bytes(100_000)] * 3, beside=True)
    repository.close()


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("hasty", [False, True])
def test_a_changed_chunk_is_stored_as_a_delta_one_step_deep(tmp_path: Path, hasty: bool, beside: bool) -> None:
    repository = open_repository(tmp_path)
    rng = random.Random(4)
    one = b"\x92\x02" + text(rng, 100_000)
    two = one[:50_000] + b"second" + one[50_010:]
    three = two[:70_000] + b"third" + two[70_010:]
    store(repository, [one])
    store(repository, [two], {two: chunk_id(one)}, hasty=hasty, beside=beside)
    store(repository, [three], {three: chunk_id(two)}, hasty=hasty, beside=beside)
    repository.synchronise()
    for plain in (two, three):
        found = repository.index.find(chunk_id(plain))
        assert found is not None
        assert found[1].codec == Codec.ZSTD_DELTA
        assert found[1].base == chunk_id(one)[:16]
        assert found[1].stored < 1000
        assert repository.chunks.read(chunk_id(plain)) == plain
    repository.close()


@pytest.mark.parametrize("wrong", [b"", b"no frame", copy_delta(b"other" * 9, b"other" * 9)])
def test_a_copied_delta_that_does_not_give_back_the_chunk_is_left_to_the_compressor(
    wrong: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk_writer, "copy_delta", lambda plain, base: wrong)
    repository = open_repository(tmp_path)
    one = text(random.Random(4), 50_000)
    two = one[:20_000] + b"second" + one[20_010:]
    store(repository, [one])
    store(repository, [two], {two: chunk_id(one)}, hasty=True)
    repository.synchronise()
    assert repository.chunks.read(chunk_id(two)) == two
    repository.close()


def test_a_leaf_that_grows_gets_a_new_base_in_time(tmp_path: Path) -> None:
    """Deltas repeat what changed since their base; over many small changes they must not cost many bases."""
    repository = open_repository(tmp_path)
    rng = random.Random(11)
    plain = b"\x92\x02" + rng.randbytes(40_000).hex().encode()
    [name] = store(repository, [plain])
    first = repository.stored_bytes()
    for _ in range(120):
        plain += rng.randbytes(250).hex().encode()
        before = name
        [name] = store(repository, [plain], {plain: before})
        assert repository.chunks.read(name) == plain
    # Without new bases the last delta alone would be 30 kB; with one each time it would be 40 kB every time.
    assert repository.stored_bytes() - first < 120 * 6_000
    repository.close()


def test_the_index_is_rebuilt_from_the_packs(tmp_path: Path) -> None:
    repository = open_repository(tmp_path)
    plain = b"\x92\x02" + text(random.Random(5), 20_000)
    [name] = store(repository, [plain])
    repository.close()
    for broken in (b"", b"not a database at all" * 100):
        for path in (tmp_path / "repo" / "cache").glob("chunks.sqlite*"):
            path.unlink()
        if broken:
            (tmp_path / "repo" / "cache" / "chunks.sqlite").write_bytes(broken)
        repository = open_repository(tmp_path)
        assert repository.chunks.read(name) == plain
        repository.close()
    shutil.rmtree(tmp_path / "repo" / "cache")
    reader = Repository.open(tmp_path / "repo", SYSTEM, read_only=True)
    assert reader.chunks.read(name) == plain
    reader.close()


def test_every_flipped_byte_of_a_pack_is_noticed(tmp_path: Path) -> None:
    repository = open_repository(tmp_path)
    base = b"\x92\x02" + text(random.Random(6), 700)
    changed = base[:300] + b"X" + base[301:]
    store(repository, [base])
    store(repository, [changed], {changed: chunk_id(base)})
    repository.close()
    for pack in sorted((tmp_path / "repo" / "packs").rglob("*")):
        if pack.is_dir():
            continue
        whole = pack.read_bytes()
        for at in range(len(whole)):
            pack.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            reader = Repository.open(tmp_path / "repo", SYSTEM, read_only=True)
            name = f"packs/{pack.parent.name}/{pack.name}"
            assert digest(reader.backend, name)[0].hex() != pack.name
            for plain in (base, changed):
                with contextlib.suppress(IntegrityError):
                    assert reader.chunks.read(chunk_id(plain)) == plain
            reader.close()
        pack.write_bytes(whole)


HUGE = ManifestCollection("agents", "agents", bytes(32), 1 << 62, 1)


def manifest(seq: int = 1) -> Manifest:
    return Manifest(
        "cp_000000000abcdef", seq, "", 0, "text", ["tag"], "manual", SPEC, bytes(32), [], state_digest([]), 0, 0.0,
        0.0, 0.0, False, [], "id", False,
    )  # fmt: skip


def test_every_flipped_byte_of_a_manifest_is_noticed() -> None:
    data = encode_manifest(manifest(), PlainSealer())
    assert decode_manifest(data, manifest_name(1), PlainSealer()) == manifest()
    for at in range(len(data)):
        for bit in range(8):
            with pytest.raises((IntegrityError, FormatError)):
                decode_manifest(
                    data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :], manifest_name(1), PlainSealer()
                )
    for length in range(len(data)):
        with pytest.raises(IntegrityError):
            decode_manifest(data[:length], manifest_name(1), PlainSealer())


@pytest.mark.parametrize(
    "claim",
    [
        {"digest": bytes(64)},
        {"collections": [ManifestCollection("agents", "agents", bytes(32), 1, 1)]},
        {"collections": [ManifestCollection("agents", "agents", bytes(32), -1, 1)]},
        {"collections": [HUGE], "digest": state_digest([HUGE])},
        {"created_at_ms": -1},
        {"created_at_ms": 99_999_999_999_999_999},
        {"stored_bytes": -1},
        {"duration_s": float("nan")},
        {"lock_s": float("inf")},
        {"skew_s": -1.0},
    ],
)
def test_a_manifest_that_claims_what_cannot_be_is_refused(claim: dict[str, object]) -> None:
    data = encode_manifest(msgspec.structs.replace(manifest(), **claim), PlainSealer())
    with pytest.raises(IntegrityError):
        decode_manifest(data, manifest_name(1), PlainSealer())


def test_a_manifest_under_another_number_is_refused() -> None:
    with pytest.raises(IntegrityError):
        decode_manifest(encode_manifest(manifest(1), PlainSealer()), manifest_name(2), PlainSealer())


def test_a_sequence_number_can_be_taken_once(tmp_path: Path) -> None:
    repository = open_repository(tmp_path)
    one = manifest()
    committed = repository.commit(msgspec.structs.replace(one, repository=repository.header.id))
    with pytest.raises(CkptError, match="same moment"):
        repository.commit(one)
    assert [found.id for found in repository.checkpoints()] == [committed.id]
    repository.remove(committed)
    assert repository.next_seq() == 2
    repository.close()


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ('{"format": 99, "anything": 1}', FormatError),
        ('{"format": 1, "id": "x", "created_at_ms": 1, "source": "s", "features": ["quantum"]}', FormatError),
        ('{"format": 1}', IntegrityError),
        ("not json", IntegrityError),
    ],
)
def test_a_header_this_version_cannot_read_is_refused(tmp_path: Path, header: str, error: type[CkptError]) -> None:
    open_repository(tmp_path).close()
    (tmp_path / "repo" / "maos-ckpt.json").write_text(header)
    with pytest.raises(error) as caught:
        Repository.open(tmp_path / "repo", SYSTEM)
    assert caught.value.message.endswith(".")
    assert caught.value.hint


def test_a_repository_is_not_made_where_something_else_lies(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError):
        open_repository(tmp_path)
    with pytest.raises(NotFoundError):
        Repository.open(tmp_path / "elsewhere", SYSTEM)


def test_another_sources_repository_is_refused(tmp_path: Path) -> None:
    open_repository(tmp_path).close()
    with pytest.raises(ForeignRepositoryError, match=r"sqlite:/srv/state\.db"):
        Repository.open_or_create(tmp_path / "repo", "sqlite:/srv/other.db", SYSTEM)


def test_a_half_deleted_repository_is_named_as_such(tmp_path: Path) -> None:
    open_repository(tmp_path).close()
    shutil.rmtree(tmp_path / "repo" / "manifests")
    with pytest.raises(IntegrityError, match="half deleted"):
        Repository.open(tmp_path / "repo", SYSTEM)


def test_the_lease_lets_one_writer_in_and_says_who_it_is(tmp_path: Path) -> None:
    one, two = open_repository(tmp_path), open_repository(tmp_path)
    with one.lease("save"), pytest.raises(LeaseHeldError) as caught, two.lease("prune", wait_s=0.1):
        pass
    assert caught.value.data["purpose"] == "save"
    with two.lease("prune", wait_s=0.1):
        pass
    one.close()
    two.close()


class FillingFilesystem(SystemFilesystem):
    """The real file system, until it is `full`."""

    full = False

    def write(self, fd: int, data: bytes | memoryview) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, data)


def test_a_full_disk_ends_in_one_sentence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    fs = FillingFilesystem()
    repository = Repository.open_or_create(tmp_path / "repo", SPEC, dataclasses.replace(SYSTEM, fs=fs))
    fs.full = True
    with pytest.raises(StorageError, match="No space left"):
        repository.commit(manifest())
    with pytest.raises(StorageError, match="No space left"):
        store(repository, [b"\x92\x02data"])
    fs.full = False
    with repository.lease("save"):
        assert list((tmp_path / "repo" / "tmp").iterdir()) == []
    assert repository.checkpoints() == []
    repository.close()
