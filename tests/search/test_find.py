"""Finding text over many checkpoints: when it came, when it went, wherever it hides."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from maos_ckpt.codec.values import LARGE, decode_row
from maos_ckpt.errors import NotFoundError, UsageError
from maos_ckpt.model import FindResult
from maos_ckpt.operations import insights, keeping
from maos_ckpt.repository.chunks import ChunkStore
from maos_ckpt.seams import SYSTEM
from maos_ckpt.search.find import find
from maos_ckpt.search.pattern import compile_text
from maos_ckpt.states import StoredState
from maos_ckpt.tree.cursor import records
from maos_ckpt.tree.large import piece_data, piece_ids
from tests.recovery.conftest import Site, site

__all__ = ["site"]


def search(site: Site, text: str, **options: object) -> FindResult:
    with site.workspace.reading() as repository:
        return find(repository, text, **options)  # type: ignore[arg-type]


def describe(site: Site, number: int, text: str) -> None:
    with site.connect() as connection:
        connection.execute("INSERT OR REPLACE INTO tasks (id, description) VALUES (?, ?)", (f"t-{number}", text))


def prose(characters: int, seed: int = 1) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz     ") for _ in range(characters))


def test_a_record_is_told_with_when_the_text_came_and_when_it_went(site: Site) -> None:
    describe(site, 1, "all is well")
    ids = [site.save().id]
    for text in ("the gateway melts", "still: the gateway melts, more so", "the gateway is gone", "the gateway melts"):
        describe(site, 1, text)
        ids.append(site.save().id)
    ids.append(site.save().id)
    first, second = search(site, "gateway melts").matches
    assert (first.component, first.collection, first.key, first.field) == ("tasks", "tasks", "t-1", "description")
    assert (first.first, first.last, first.gone, first.checkpoints) == (ids[1], ids[2], ids[3], 2)
    assert first.excerpt == "the gateway melts"
    assert not first.since_at_least
    assert (second.first, second.last, second.gone, second.checkpoints) == (ids[4], ids[5], None, 2)
    (only,) = search(site, "gateway melts", between=(ids[3], ids[1])).matches
    assert (only.since_at_least, only.checkpoints, only.gone) == (True, 2, ids[3])
    assert search(site, "Gateway Melts").matches == ()
    assert len(search(site, "Gateway Melts", ignore_case=True).matches) == 2


def test_a_record_that_was_removed_is_gone_from_then_on(site: Site) -> None:
    describe(site, 1, "needle")
    site.save()
    site.run("DELETE FROM tasks")
    gone = site.save().id
    (found,) = search(site, "needle").matches
    assert found.gone == gone


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize("text", ['café "closed"', "line\none", "path\\to/file", "smile 😀", "tab\there"])
def test_text_is_found_as_it_is_and_as_json_inside_json_writes_it(depth: int, text: str) -> None:
    for plain in (False, True):
        stored = f"before {text} after"
        for _ in range(depth):
            stored = json.dumps({"content": stored}, ensure_ascii=not plain)
        pattern = compile_text(text, ignore_case=False)
        found = pattern.expression.search(stored.encode())
        assert found is not None, stored
        assert found.end() - found.start() <= pattern.bytes_max
        shouted = compile_text(text.upper(), ignore_case=True)
        assert shouted.expression.search(stored.encode()), stored
    assert not compile_text(text, ignore_case=False).expression.search(b"before and after")


def test_backslashes_in_a_row_are_searched_in_no_time() -> None:
    """Were each an expression of its own, thirty of them among thirty-one would be looked for without end."""
    for data, found in ((31 * 16, True), (30, True), (29, False)):
        expression = compile_text("\\" * 30, ignore_case=False).expression
        assert bool(expression.search(b"\\" * data)) is found
    began_s = SYSTEM.clock.monotonic_s()
    assert compile_text("\\" * 20 + "x", ignore_case=False).expression.search(b"\\" * 63 + b"y") is None
    assert SYSTEM.clock.monotonic_s() - began_s < 1.0
    assert compile_text("a\\\\b", ignore_case=False).expression.search(b"a\\b") is None


def test_conversations_and_transcripts_are_searched(site: Site) -> None:
    turns = json.dumps([{"role": "assistant", "content": "Überweisung “failed”"}])
    with site.connect() as connection:
        connection.execute(
            "INSERT INTO sessions (session_id, agent_id, conversation_history) VALUES ('s', 'a-0000000a', ?)", (turns,)
        )
    site.transcript("one", json.dumps({"type": "user", "message": "Überweisung “failed”"}), "{}")
    site.save()
    found = search(site, "überweisung “FAILED”", ignore_case=True).matches
    assert {(one.collection, one.field) for one in found} == {
        ("sessions", "conversation_history"),
        ("transcripts", "text"),
    }
    assert [one.component for one in search(site, "Überweisung", component="memory").matches] == ["memory"] * 2
    assert search(site, "Überweisung", component="tasks").matches == ()
    with pytest.raises(NotFoundError):
        search(site, "Überweisung", component="taks")


def test_keys_blobs_and_text_that_is_no_utf8_are_searched(site: Site) -> None:
    site.run("INSERT INTO tasks (id, description) VALUES ('needle-1', x'00' || 'x')")
    site.run("INSERT INTO tasks (id, description) VALUES ('b', CAST(x'ff6e6565646c6500' AS BLOB))")
    site.run("INSERT INTO tasks (id, description) VALUES ('c', CAST(x'ff6e6565646c65' AS TEXT))")
    site.save()
    assert {(one.key, one.field) for one in search(site, "needle").matches} == {
        ("needle-1", "key"),
        ("b", "description"),
        ("c", "description"),
    }


def test_a_match_over_the_cut_between_two_pieces_of_a_large_value_is_found(site: Site) -> None:
    text = prose(900_000)
    describe(site, 1, text)
    site.save()
    with site.workspace.reading() as repository:
        state = StoredState(repository, repository.resolve("latest"))
        ((_, row),) = records(repository.chunks, state.root(("tasks", "tasks")))
        (large,) = [part for part in decode_row(row) if getattr(part, "code", None) == LARGE]
        cuts, at = [], 0
        for piece in piece_ids(large):
            at += len(piece_data(repository.chunks.get(piece)))
            cuts.append(at)
        assert len(cuts) > 3
        for cut in cuts[:-1]:
            wanted = text[cut - 20 : cut + 20]
            assert len(find(repository, wanted).matches) == 1, "over a cut"
            assert len(find(repository, wanted.upper(), ignore_case=True).matches) == 1
        assert find(repository, text[cuts[0] - 20 : cuts[0]] + "#" + text[cuts[0] : cuts[0] + 20]).matches == ()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    counted: Counter[bytes] = Counter()
    get = ChunkStore.get

    def counting(store: ChunkStore, chunk: bytes) -> bytes:
        counted[chunk] += 1
        return get(store, chunk)

    monkeypatch.setattr(ChunkStore, "get", counting)
    return counted


def test_what_checkpoints_share_is_searched_once(site: Site, reads: Counter[bytes]) -> None:
    with site.connect() as connection:
        rows = [(f"t-{number}", prose(300, number)) for number in range(8000)]
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO tasks (id, description) VALUES (?, ?)", rows)
    describe(site, 9000, prose(800_000))
    site.save()
    search(site, "no such text")
    once = sum(reads.values())
    for number in range(12):
        describe(site, number * 600, f"needle {number}")
        site.save()
    reads.clear()
    result = search(site, "needle")
    assert len(result.matches) == 12
    assert sum(reads.values()) < once + 12 * 10, "each step costs its changed leaf, and the nodes above it"


def test_matches_are_bounded_and_the_same_first_ones_are_followed_everywhere(site: Site) -> None:
    with site.connect() as connection:
        rows = [(f"t-{number:05}", "needle") for number in range(5000)]
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO tasks (id, description) VALUES (?, ?)", rows)
    first = site.save().id
    site.run("DELETE FROM tasks WHERE id = 't-00003'")
    site.save()
    result = search(site, "needle", limit=10)
    assert result.truncated
    assert [one.key for one in result.matches] == [f"t-{number:05}" for number in range(10)]
    assert [one.key for one in result.matches if one.gone] == ["t-00003"]
    assert {one.first for one in result.matches} == {first}


def test_what_cannot_be_read_is_told_and_the_rest_is_searched(site: Site) -> None:
    describe(site, 1, "needle")
    sound = site.save().id
    with site.connect() as connection:
        rows = [(f"x-{number}", prose(200, number)) for number in range(20)]
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO tasks (id, description) VALUES (?, ?)", rows)
    damaged = site.save()
    path = site.workspace.repository / damaged.pack
    data = bytearray(path.read_bytes())
    for at in range(16, len(data) // 2):
        data[at] ^= 0xFF
    path.chmod(0o600)
    path.write_bytes(data)
    result = search(site, "needle")
    assert [one.first for one in result.matches] == [sound]
    assert result.unread == (damaged.id,)


def test_a_checkpoint_whose_description_cannot_be_read_hides_no_other(site: Site) -> None:
    describe(site, 1, "needle")
    sound = site.save()
    site.run("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
    damaged = site.save()
    site.spoil(damaged.descriptors)
    result = search(site, "needle")
    assert [(one.first, one.last) for one in result.matches] == [(sound.id, sound.id)]
    assert result.unread == (damaged.id,)


def test_a_search_goes_on_where_retention_takes_a_checkpoint_on_the_way(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prune happens between two reads of the walk, where another process' would."""
    for number in range(5):
        describe(site, 0, f"needle {prose(200_000, number)}")
        newest = site.save()
    asked: list[bytes] = []
    read = ChunkStore.read

    def read_beside_a_prune(store: ChunkStore, chunk: bytes) -> bytes:
        asked.append(chunk)
        if len(asked) == 2:
            assert len(keeping.prune(site.workspace, 1, False, lambda _: None).removed) == 4
        return read(store, chunk)

    monkeypatch.setattr(ChunkStore, "read", read_beside_a_prune)
    result = insights.find(
        site.workspace, "needle", lambda _: None, between=None, component=None, ignore_case=False, limit=10
    )
    assert (result.checkpoints, result.unread) == (1, ())
    assert {one.first for one in result.matches} == {newest.id}


@pytest.mark.parametrize("text", ["", "x" * 1001])
def test_a_text_that_is_none_is_refused(site: Site, text: str) -> None:
    site.save()
    with pytest.raises(UsageError):
        search(site, text)


def test_without_a_checkpoint_there_is_nothing_to_search(site: Site) -> None:
    with pytest.raises(NotFoundError):
        search(site, "x")
