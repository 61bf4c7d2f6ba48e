"""Leaves edited by a process beside give the tree, the notes and the chunks that editing them here gives; without it,
however it ends, they are edited here."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.codec.policy import CodecSettings
from maos_ckpt.codec.secret import Secret
from maos_ckpt.errors import IntegrityError
from maos_ckpt.repository import leaf_editor
from maos_ckpt.repository.leaf_editor import LeafEditor
from maos_ckpt.repository.packs import SealedPack
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.tree.builder import build
from maos_ckpt.tree.cursor import leaf_entries, records
from maos_ckpt.tree.edit import Replacement, edit
from maos_ckpt.tree.leaf_edits import Noted, StoredLeaf

RECORDS = 24_000
READY_WAIT_S = 20.0
KEY = Secret("key_file", bytes(range(64)))


class Counting(LeafEditor):
    """Counts the leaves that were answered for; `meanwhile` is called before each question."""

    answered = 0
    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def begin(self, *arguments: object) -> bool:
        self.meanwhile()
        return super().begin(*arguments)  # type: ignore[arg-type]

    def take(self, *, wait: bool) -> tuple[StoredLeaf | None] | None:
        answer = super().take(wait=wait)
        self.answered += answer is not None and answer[0] is not None
        return answer


class Workbench:
    """A repository with one tree of some hundred leaves, and what is to be changed in it."""

    def __init__(self, folder: Path, key: Secret | None) -> None:
        self.repository = Repository.open_or_create(folder / "repository", "maos:/nowhere", SYSTEM, key=key)
        rng = random.Random(1)
        self.state = {b"%08d" % one: rng.randbytes(4).hex().encode() * 90 for one in range(RECORDS)}
        with self.repository.lease("save"), closing(self.repository.local_writer(CodecSettings(), {}, 0)) as writer:
            made = build(iter([(list(self.state), list(self.state.values()))]), writer, "label")
            writer.seal()
        assert made.id is not None
        self.root = made.id
        self.changes = {key: self.state[key] + b" changed" for key in rng.sample(sorted(self.state), 400)}
        self.removed = sorted(self.state)[9000:9900]

    def replacements(self) -> list[Replacement]:
        """Single records, and a range that takes whole leaves away."""
        low, high = self.removed[0], self.removed[-1] + b"\0"
        single = [
            Replacement(key, key + b"\0", [key], [value])
            for key, value in self.changes.items()
            if not low <= key < high
        ]
        return sorted([*single, Replacement(low, high, [], [])])

    def edit(
        self, open_editor: Callable[..., LeafEditor] | None, *, hasty: bool
    ) -> tuple[bytes, list[Noted], SealedPack]:
        """Root, notes and pack of the edit, with an editor or without."""
        noted: list[Noted] = []
        repository, settings = self.repository, CodecSettings(hasty=hasty)
        with repository.lease("save"), closing(repository.local_writer(settings, {}, 0)) as writer:
            editor = None if open_editor is None else open_editor(repository, settings, writer)
            try:
                note = lambda *one: noted.append(one)  # noqa: E731
                made = edit(self.root, self.replacements(), repository.chunks, writer, "label", note, editor)
            finally:
                if editor is not None:
                    editor.close()
            assert made.id is not None
            return made.id, noted, writer.seal()


@pytest.fixture(params=[None, KEY], ids=["in the clear", "encrypted"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workbench]:
    made = Workbench(tmp_path, request.param)
    yield made
    made.repository.close()


def counting(meanwhile: Callable[[Counting], object], opened: list[Counting]) -> Callable[..., LeafEditor]:
    """Opens an editor and waits until its process is ready."""

    def open_editor(repository: Repository, settings: CodecSettings, writer: object) -> LeafEditor:
        editor = Counting(repository._job(settings, {}, 0), repository.sealer.master, writer)  # type: ignore[arg-type]
        until_s = time.monotonic() + READY_WAIT_S
        while not editor._is_ready() and time.monotonic() < until_s:
            time.sleep(0.01)
        editor.meanwhile = lambda: meanwhile(editor)  # type: ignore[method-assign]
        opened.append(editor)
        return editor

    return open_editor


@pytest.mark.parametrize("hasty", [True, False])
def test_the_tree_and_the_notes_are_those_of_an_edit_alone_and_the_work_is_shared(
    bench: Workbench, hasty: bool
) -> None:
    opened: list[Counting] = []
    root, noted, pack = bench.edit(counting(lambda _: None, opened), hasty=hasty)
    found = dict(records(bench.repository.chunks, root))
    expected = bench.state | bench.changes
    assert found == {key: value for key, value in expected.items() if key not in set(bench.removed)}
    assert [key for key, _, _ in noted] == sorted({*bench.changes, *bench.removed})
    assert all((before, after) == (bench.state[key], found.get(key)) for key, before, after in noted)
    # Each has done a part of it, and all of it is in one pack.
    leaves = len(list(leaf_entries(bench.repository.chunks, root)))
    assert 5 < opened[0].answered < leaves
    assert bench.repository.index.packs().keys() >= {pack.name}
    assert bench.edit(None, hasty=hasty)[:2] == (root, noted)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_hangs_costs_nothing_but_its_help(
    bench: Workbench, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaf_editor, "_ANSWER_WAIT_S", 0.2)
    opened: list[Counting] = []

    def end(editor: Counting) -> None:
        if editor.answered == 3 and editor._process is not None:
            os.kill(editor._process.pid, number)

    root, noted, _ = bench.edit(counting(end, opened), hasty=True)
    assert 3 <= opened[0].answered <= 5
    assert opened[0]._process is None
    assert (root, noted) == bench.edit(None, hasty=True)[:2]


def test_a_process_that_cannot_open_the_repository_is_not_needed(bench: Workbench) -> None:
    alone = bench.edit(None, hasty=True)

    def open_editor(repository: Repository, settings: CodecSettings, writer: object) -> LeafEditor:
        job = leaf_editor.Job(str(repository.path / "elsewhere"), repository.header.id, None, settings, {}, 0)
        editor = LeafEditor(job, repository.sealer.master, writer)  # type: ignore[arg-type]
        assert editor._process is not None
        editor._process.wait(READY_WAIT_S)
        return editor

    assert bench.edit(open_editor, hasty=True)[:2] == alone[:2]


def test_a_damaged_leaf_is_named_as_without_it(bench: Workbench) -> None:
    repository = bench.repository
    leaf = list(leaf_entries(repository.chunks, bench.root))[20]
    found = repository.index.find(leaf.id)
    assert found is not None
    path = repository.path / found[0]
    data = bytearray(path.read_bytes())
    data[found[1].offset + found[1].stored // 2] ^= 1
    path.write_bytes(data)
    repository.chunks._cache.clear()
    repository.reader.forget(found[0])
    bench.changes = {key: b"new" for key in list(bench.state)[::40]}
    with pytest.raises(IntegrityError) as caught:
        bench.edit(counting(lambda _: None, []), hasty=True)
    assert caught.value.data["chunk"] == leaf.id.hex()
