"""The tree: equal records give equal roots whatever their history, edits equal rebuilds, diffs are exact and short."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maos_ckpt.errors import IntegrityError
from maos_ckpt.tree.builder import INDEX_LABEL, build
from maos_ckpt.tree.cursor import find, leaf_entries, records
from maos_ckpt.tree.cutter import cut_leaves, cut_pieces
from maos_ckpt.tree.diff import LeafStream, StoredStream, differences
from maos_ckpt.tree.edit import Replacement, edit
from maos_ckpt.tree.nodes import INDEX_SHAPE, LEAF, LEAF_SHAPE, chunk_id, node_kind
from maos_ckpt.tree.sink import Done

from .memory import MemoryChunks

State = dict[bytes, bytes]


def batches(state: State, size: int = 500):
    keys = sorted(state)
    for at in range(0, len(keys), size):
        part = keys[at : at + size]
        yield part, [state[key] for key in part]


def tree_of(state: State, chunks: MemoryChunks, size: int = 500):
    return build(batches(state, size), chunks, "test")


def random_state(rng: random.Random, number: int, value_bytes: int) -> State:
    return {
        b"\x03key-%08d\x00" % rng.randrange(number * 4): rng.randbytes(rng.randrange(1, value_bytes))
        for _ in range(number)
    }


states = st.builds(
    lambda seed, number, value_bytes: random_state(random.Random(seed), number, value_bytes),
    st.integers(0, 1 << 32),
    st.integers(0, 800),
    st.sampled_from([40, 700, 6000]),
)


@settings(max_examples=40, deadline=None)
@given(states, st.integers(1, 400))
def test_the_root_depends_on_the_records_and_not_on_how_they_arrive(state: State, size: int) -> None:
    chunks = MemoryChunks()
    assert tree_of(state, chunks, size).id == tree_of(state, chunks, 7).id


@settings(max_examples=40, deadline=None)
@given(states)
def test_a_tree_gives_back_its_records_in_order_and_counts_them(state: State) -> None:
    chunks = MemoryChunks()
    root = tree_of(state, chunks)
    assert list(records(chunks, root.id)) == sorted(state.items())
    assert root.count == len(state)
    assert root.bytes == sum(len(key) + len(value) for key, value in state.items())


@settings(max_examples=150, deadline=None)
@given(states, states, st.data())
def test_an_edited_tree_has_the_root_of_a_tree_built_anew(state: State, other: State, data: st.DataObject) -> None:
    """History independence: whatever ranges are replaced, the result is what building from nothing gives."""
    chunks = MemoryChunks()
    root = tree_of(state, chunks)
    universe = sorted(set(state) | set(other)) or [b"x"]
    rng = random.Random(data.draw(st.integers(0, 1 << 32)))
    cuts = sorted(rng.sample(universe, min(len(universe), rng.randrange(9))))
    bounds = [b"", *cuts, b"\xff"]
    wanted = dict(state)
    replacements = []
    for low, high in itertools.pairwise(bounds):
        if rng.random() < 0.5:
            continue
        inside = {key: value for key, value in other.items() if low <= key < high}
        wanted = {key: value for key, value in wanted.items() if not low <= key < high} | inside
        keys = sorted(inside)
        replacements.append(Replacement(low, high, keys, [inside[key] for key in keys]))
    assert edit(root.id, replacements, chunks, chunks, "test").id == tree_of(wanted, chunks).id


@settings(max_examples=60, deadline=None)
@given(states, states, st.floats(0, 1))
def test_single_records_edited_one_by_one_give_the_root_of_a_tree_built_anew(
    state: State, other: State, share: float
) -> None:
    """As page-guided capture does it: one range for each record that is new, changed or gone."""
    chunks = MemoryChunks()
    root = tree_of(state, chunks)
    rng = random.Random(len(state))
    touched = sorted(key for key in set(state) | set(other) if rng.random() < share)
    wanted = dict(state)
    replacements = []
    for key in touched:
        kept = key in other
        replacements.append(Replacement(key, key + b"\0", [key] if kept else [], [other[key]] if kept else []))
        wanted.pop(key, None)
        if kept:
            wanted[key] = other[key]
    edited = edit(root.id, replacements, chunks, chunks, "test")
    anew = tree_of(wanted, chunks)
    assert (edited.id, edited.count, edited.bytes) == (anew.id, anew.count, anew.bytes)


@pytest.mark.parametrize("value_bytes", [30, 200, 3000])
def test_edits_upon_edits_give_the_root_of_a_tree_built_anew(value_bytes: int) -> None:
    """Records grow, shrink, come and go around places where leaves could end, in trees that edits have made."""
    rng = random.Random(value_bytes)
    chunks = MemoryChunks()
    state = random_state(rng, 600_000 // value_bytes, value_bytes)
    root = tree_of(state, chunks).id
    for _ in range(40):
        changes: dict[bytes, bytes | None] = {}
        for key in rng.sample(sorted(state), rng.randrange(1, 40)):
            fate = rng.random()
            if fate < 0.1:
                changes[key] = None
            elif fate < 0.2:
                changes[key + rng.randbytes(2)] = rng.randbytes(rng.randrange(value_bytes))
            elif fate < 0.22:
                changes[key] = rng.randbytes(LEAF_SHAPE.bytes_target)
            else:
                changes[key] = rng.randbytes(max(len(state[key]) + rng.randrange(-20, 21), 0))
        state = {key: value for key, value in (state | changes).items() if value is not None}
        replacements = [
            Replacement(key, key + b"\0", [] if value is None else [key], [] if value is None else [value])
            for key, value in sorted(changes.items())
        ]
        root = edit(root, replacements, chunks, chunks, "test").id
        assert root == tree_of(state, chunks).id


def test_an_edited_leaf_that_ends_as_before_is_not_cut_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = MemoryChunks()
    state = random_state(random.Random(6), 40_000, 300)
    root = tree_of(state, chunks).id
    cuts = []
    monkeypatch.setattr("maos_ckpt.tree.edit.cut_leaves", lambda batches: cuts.append(1) or cut_leaves(batches))
    touched = sorted(state)[::400]
    replacements = [Replacement(key, key + b"\0", [key], [state[key] + b"more"]) for key in touched]
    edited = edit(root, replacements, chunks, chunks, "test").id
    assert edited == tree_of(state | {key: state[key] + b"more" for key in touched}, chunks).id
    assert len(touched) > 80
    assert len(cuts) < 10


def test_a_missing_leaf_under_an_edit_is_an_integrity_error() -> None:
    chunks = MemoryChunks()
    state = random_state(random.Random(7), 20_000, 300)
    root = tree_of(state, chunks).id
    leaves = list(leaf_entries(chunks, root))
    chunks.chunks[leaves[7].id] = chunks.chunks[leaves[8].id]
    replacements = [Replacement(one.key, one.key + b"\0", [one.key], [b"new"]) for one in leaves]
    with pytest.raises(IntegrityError):
        edit(root, replacements, chunks, chunks, "test")


def test_many_records_behind_the_last_one_are_added_in_one_pass() -> None:
    chunks = MemoryChunks()
    state = random_state(random.Random(4), 3000, 60)
    root = tree_of(state, chunks)
    added = {b"\x04key-%08d\x00" % number: b"v" * 50 for number in range(60_000)}
    replacements = [Replacement(key, key + b"\0", [key], [value]) for key, value in added.items()]
    assert edit(root.id, replacements, chunks, chunks, "test").id == tree_of(state | added, chunks).id


def test_an_edit_of_nothing_gives_the_same_tree_and_reads_one_node() -> None:
    chunks = MemoryChunks()
    root = tree_of(random_state(random.Random(5), 20_000, 300), chunks)
    chunks.reads = 0
    assert edit(root.id, [], chunks, chunks, "test") == root
    assert chunks.reads == 1
    assert edit(None, [], chunks, chunks, "test").id is None


@settings(max_examples=150, deadline=None)
@given(states, states)
def test_differences_are_exactly_those_of_the_records(before: State, after: State) -> None:
    chunks = MemoryChunks()
    a, b = tree_of(before, chunks), tree_of(after, chunks)
    expected = [
        (key, before.get(key), after.get(key))
        for key in sorted(set(before) | set(after))
        if before.get(key) != after.get(key)
    ]
    assert list(differences(StoredStream(chunks, a.id), StoredStream(chunks, b.id))) == expected
    live = LeafStream(cut_leaves(batches(after)), chunk_id)
    assert list(differences(StoredStream(chunks, a.id), live)) == expected


def test_one_changed_record_among_many_costs_one_path() -> None:
    rng = random.Random(1)
    chunks = MemoryChunks()
    state = random_state(rng, 60_000, 900)
    before = tree_of(state, chunks)
    key = sorted(state)[31_415]
    changed = state | {key: b"changed"}
    old = set(chunks.chunks)
    after = tree_of(changed, chunks)
    assert len(set(chunks.chunks) - old) <= 4
    chunks.reads = 0
    found = list(differences(StoredStream(chunks, before.id), StoredStream(chunks, after.id)))
    assert found == [(key, state[key], b"changed")]
    assert chunks.reads <= 8
    assert find(chunks, after.id, key) == b"changed"


def test_an_edit_reads_only_the_leaves_it_touches() -> None:
    rng = random.Random(2)
    chunks = MemoryChunks()
    state = random_state(rng, 60_000, 900)
    root = tree_of(state, chunks)
    leaves = len(list(leaf_entries(chunks, root.id)))
    key = sorted(state)[100]
    chunks.reads = 0
    edit(root.id, [Replacement(key, key + b"\0", [key], [b"new"])], chunks, chunks, "test")
    assert leaves > 100
    assert chunks.reads < leaves / 3


@pytest.mark.parametrize("key_bytes", [3000, 10_000, 70_000])
def test_keys_longer_than_an_index_node_is_to_be_make_a_tree_like_all_others(key_bytes: int) -> None:
    chunks, rng = MemoryChunks(), random.Random(3)
    state = {b"%06d" % number + bytes(key_bytes): rng.randbytes(2000) for number in range(120)}
    root = tree_of(state, chunks)
    assert list(records(chunks, root.id)) == sorted(state.items())
    entry = root.entry
    assert entry is not None
    assert entry.level <= 4, "each level has at most a quarter of the nodes below it"
    keys = sorted(state)
    gone = keys[::17]
    edited = edit(root.id, [Replacement(key, key + b"\0", [], []) for key in gone], chunks, chunks, "test")
    assert edited.id == tree_of({key: state[key] for key in keys if key not in gone}, chunks).id


def test_leaf_and_index_sizes_keep_their_bounds() -> None:
    rng = random.Random(3)
    chunks = MemoryChunks()
    root = tree_of(random_state(rng, 80_000, 800), chunks)
    entries = list(leaf_entries(chunks, root.id))
    sizes = [entry.bytes for entry in entries]
    assert all(LEAF_SHAPE.bytes_min * 0.9 <= size <= LEAF_SHAPE.bytes_max for size in sizes[:-1])
    assert 0.7 * LEAF_SHAPE.bytes_target < sum(sizes) / len(sizes) < 1.3 * LEAF_SHAPE.bytes_target
    assert max(len(plain) for plain in chunks.chunks.values()) < LEAF_SHAPE.bytes_max * 1.1
    assert INDEX_SHAPE.bytes_max < LEAF_SHAPE.bytes_max


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(0, 900_000))
def test_pieces_make_up_their_value_and_an_insertion_renews_few(seed: int, length: int) -> None:
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randrange(2, 9)) for _ in range(300)]
    data = b" ".join(rng.choice(words) for _ in range(length // 6))
    pieces = list(cut_pieces(data))
    assert b"".join(pieces) == data
    middle = len(data) // 2
    again = list(cut_pieces(data[:middle] + b"inserted" + data[middle:]))
    assert len(set(again) - set(pieces)) <= 3


def test_index_nodes_are_measured_apart_from_the_records_of_their_collection() -> None:
    """They are mostly hashes; what compresses them says nothing of the records."""
    labels: dict[str, list[bool]] = {}

    class Labels(MemoryChunks):
        def put(self, plain: bytes, label: str, predecessor: bytes | None = None) -> Done:
            labels.setdefault(label, []).append(node_kind(plain) == LEAF)
            return super().put(plain, label, predecessor)

    chunks = Labels()
    state = random_state(random.Random(5), 2000, 4000)
    root = tree_of(state, chunks).id
    key = sorted(state)[700]
    edit(root, [Replacement(key, key + b"\0", [key], [b"new"])], chunks, chunks, "test")
    assert set(labels["test"]) == {True}
    assert set(labels[INDEX_LABEL]) == {False}
