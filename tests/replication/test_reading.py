"""A new machine reads of the bucket what it needs, and little else."""

from __future__ import annotations

import dataclasses
import time

from maos_ckpt.codec.compression import Codec
from maos_ckpt.model import Checkpoint, VerifyLevel
from maos_ckpt.replication.pull import make_home, pull
from maos_ckpt.replication.push import push
from maos_ckpt.repository.needed import needed_chunks, refuse
from maos_ckpt.repository.repository import Repository
from maos_ckpt.repository.spans import GAP_SHARE_MAX, SPAN_BYTES_MAX, coalesce
from maos_ckpt.seams import SYSTEM
from maos_ckpt.tree.cursor import find, records
from maos_ckpt.tree.large import load_row
from maos_ckpt.verify import verify
from tests.replication.conftest import Site
from tests.replication.counting import counted


def stored_bytes(repository: Repository, checkpoint: Checkpoint, component: str) -> int:
    """What one component of a checkpoint takes in its packs, bases of deltas included."""
    kept = tuple(one for one in checkpoint.collections if one.component == component)
    needed: set[bytes] = set()
    needed_chunks(repository, dataclasses.replace(checkpoint, collections=kept, referrers=None), needed, refuse)
    stored = {found[1].id: found[1] for one in needed if (found := repository.index.find(one))}
    for one in list(stored.values()):
        if one.codec == Codec.ZSTD_DELTA:
            base = repository.index.find_base(one.base)
            assert base is not None
            stored[base[1].id] = base[1]
    return sum(one.stored for one in stored.values())


def read_component(repository: Repository, checkpoint: Checkpoint, component: str) -> int:
    """Read all records of a component, whole; how many bytes they are."""
    repository.descriptors(checkpoint)
    size = 0
    for collection in checkpoint.collections:
        if collection.component == component:
            for key, value in records(repository.chunks, collection.root):
                size += len(key) + sum(len(str(one)) for one in load_row(value, repository.chunks.get))
    return size


def test_one_component_is_read_with_few_requests_and_little_besides(site: Site) -> None:
    first = site.home("first")
    for seed in range(1, 4):
        site.change(seed)
        site.save(first)
    push(first, site.lease(first))
    second = make_home(site.folder / "second", site.remote, SYSTEM)
    pull(second)
    latest = first.checkpoints()[0]
    for component in ("memory", "queue"):
        expected = stored_bytes(first, latest, component)
        with counted() as traffic:
            assert read_component(second, latest, component) == read_component(first, latest, component) > 0
        assert traffic.bytes["packs"] <= 1.2 * expected
    # The second time the cache on the disk answers.
    second.close()
    again = Repository.open(second.path, SYSTEM, remote=site.remote)
    with counted() as traffic:
        read_component(again, latest, "memory")
    assert traffic.bytes["packs"] == 0
    assert verify(again, [], VerifyLevel.FULL).ok


def test_a_single_record_reads_one_path(site: Site) -> None:
    first = site.home("first")
    site.save(first)
    push(first, site.lease(first))
    second = make_home(site.folder / "second", site.remote, SYSTEM)
    pull(second)
    largest = max(first.checkpoints()[0].collections, key=lambda one: one.bytes)
    keys = [key for key, _ in records(first.chunks, largest.root)]
    with counted() as traffic:
        assert find(second.chunks, largest.root, keys[len(keys) // 2]) is not None
    assert traffic.requests["get_object"] <= 3


def test_requests_join_neighbours_within_bounds() -> None:
    ranges = [("packs/a", at * 1000, 990) for at in range(10_000)] + [("packs/b", 5, 10), ("packs/b", 900_000, 10)]
    spans = coalesce(ranges)
    assert sorted(one for span in spans for one in span.ranges) == sorted(ranges)
    assert len(spans) <= 10_000_000 // SPAN_BYTES_MAX + 4
    for span in spans:
        wanted = sum(length for _, _, length in span.ranges)
        assert span.length <= SPAN_BYTES_MAX
        assert span.length - wanted <= GAP_SHARE_MAX * span.length
    assert coalesce([]) == []


def test_a_restart_from_many_checkpoints_takes_few_requests(site: Site) -> None:
    first = site.home("first")
    lease = site.lease(first)
    for number in range(100):
        if number % 10 == 0:
            site.change(number)
        site.save(first)
        if number % 25 == 24:
            push(first, lease)
    second = make_home(site.folder / "second", site.remote, SYSTEM)
    started_s = time.monotonic()
    with counted() as traffic:
        assert pull(second) == 100
    assert traffic.total <= 80
    assert time.monotonic() - started_s < 30
    assert second.checkpoints() == first.checkpoints()
