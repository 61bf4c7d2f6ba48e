"""Which records refer to an agent is found without reading all of them, and is always the whole answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.capture import referrers as stored_referrers
from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.codec.values import decode_key
from maos_ckpt.model import Checkpoint, Trigger, VerifyLevel
from maos_ckpt.prune import prune
from maos_ckpt.recovery.lookup import Shape, every
from maos_ckpt.recovery.owners import Owners
from maos_ckpt.recovery.reference_rules import Json
from maos_ckpt.recovery.referrers import COVERED, agents_of, referring, work_out
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.spec import open_source
from maos_ckpt.states import StoredState
from maos_ckpt.verify import verify
from tests.lab.build import build_state
from tests.lab.mutate import mutate


class Lab:
    """A MAOS of some thousand records with its repository."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "maos"
        build_state(self.work, folder / "claude", 1_500_000, seed=3)
        self.source: Source = open_source(f"maos:{self.work}", claude_home=folder / "claude", seams=SYSTEM)
        self.repository = Repository.open_or_create(folder / "repository", self.source.spec, SYSTEM)

    def save(self) -> Checkpoint:
        with self.repository.lease("save"):
            return save_checkpoint(self.repository, self.source, SaveRequest(Trigger.MANUAL), lambda _: None, SYSTEM)

    def work_out(self) -> bool:
        with self.repository.lease("references"):
            return work_out(self.repository)

    def run(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.work / "maos.db")) as connection:
            for one in statements:
                connection.execute(one)
            connection.commit()

    def by_hand(self, checkpoint: Checkpoint) -> dict[str, set[tuple[str, bytes]]]:
        """Every reference to every agent, by reading all records."""
        state, parse = StoredState(self.repository, checkpoint), Json()
        found: dict[str, set[tuple[str, bytes]]] = {}
        for name in COVERED:
            descriptor = state.descriptors()[name]
            shape = Shape(descriptor, descriptor.columns, state.get)
            for record in every(state, name):
                for agent in agents_of(shape, descriptor.name, record, parse):
                    found.setdefault(agent, set()).add((descriptor.path, record[0]))
        return found

    def require_whole(self, checkpoint: Checkpoint) -> None:
        state = StoredState(self.repository, checkpoint)
        expected = self.by_hand(checkpoint)
        assert len(expected) > 5
        assert referring(state, [*expected, "nobody-00000000", "half-\ud8000000000"]) == {
            **expected,
            "nobody-00000000": set(),
        }


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    one = Lab(tmp_path)
    yield one
    one.repository.close()


def test_references_come_with_the_save_after_they_were_worked_out(lab: Lab) -> None:
    first = lab.save()
    assert first.referrers is None
    assert referring(StoredState(lab.repository, first), ["anybody"]) is None
    assert lab.work_out()
    assert not lab.work_out(), "they wait already"
    second = lab.save()
    assert second.capture.unchanged
    assert second.digest == first.digest, "what is derived is no part of the state"
    assert not lab.work_out(), "nothing is new"
    lab.require_whole(second)


def test_references_stay_true_while_the_state_changes(lab: Lab) -> None:
    lab.save()
    lab.work_out()
    lab.save()
    for seed in range(6):
        mutate(lab.work, 0.02, seed)
        lab.run(
            f"DELETE FROM messages WHERE id % 23 = {seed}",
            f"INSERT INTO key_value_store (key, value) VALUES ('context:a-0000000{seed}-0000000b/a-000000000', '[]')",
            f'UPDATE tasks SET assigned_agents = \'["moved-0000000{seed}", "x\\ud800-00000000"]\''
            f" WHERE rowid % 17 = {seed}",
        )
        checkpoint = lab.save()
        lab.require_whole(checkpoint)
        if seed % 2:
            lab.work_out()
    roots = [one.referrers.tree.root for one in lab.repository.checkpoints() if one.referrers]
    assert len(set(roots)) == 3, "edited when it was worked out, and carried over in between"
    assert verify(lab.repository, [], VerifyLevel.FULL).ok


def test_prune_keeps_what_references_were_derived_from(lab: Lab) -> None:
    lab.save()
    lab.work_out()
    for seed in range(4):
        mutate(lab.work, 0.05, seed)
        lab.save()
    with lab.repository.lease("prune"):
        assert len(prune(lab.repository, 1).removed) == 4
    newest = lab.repository.checkpoints()[0]
    lab.require_whole(newest)
    assert verify(lab.repository, [], VerifyLevel.FULL).ok


def test_a_changed_schema_is_read_in_full_until_the_references_are_worked_out_again(lab: Lab) -> None:
    lab.save()
    lab.work_out()
    lab.save()
    lab.run("ALTER TABLE messages ADD COLUMN priority TEXT", "UPDATE messages SET priority = 'high' WHERE id % 2")
    changed = lab.save()
    assert referring(StoredState(lab.repository, changed), ["anybody"]) is None
    assert lab.work_out()
    lab.require_whole(lab.save())


@pytest.mark.parametrize("damage", ["garbage", "truncated", "gone checkpoint"])
def test_what_waits_and_cannot_be_used_costs_no_save(lab: Lab, damage: str) -> None:
    first = lab.save()
    lab.work_out()
    waiting = stored_referrers.prepared(lab.repository)
    assert waiting is not None
    if damage == "garbage":
        waiting.path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    elif damage == "truncated":
        waiting.path.write_bytes(waiting.path.read_bytes()[: waiting.path.stat().st_size * 2 // 3])
    else:
        lab.run("DELETE FROM messages WHERE id % 2")
        lab.save()
        lab.work_out()
        with lab.repository.lease("prune"):
            lab.repository.remove(first)
    mutate(lab.work, 0.05, 1)
    lab.save()
    lab.work_out()
    mutate(lab.work, 0.05, 2)
    lab.require_whole(lab.save())
    assert verify(lab.repository, [], VerifyLevel.FULL).ok


def test_a_key_names_agents_as_selections_take_them(lab: Lab) -> None:
    keys = [
        "context:a-0000000b",
        "memory:x/a-0000000b.y",
        "context:a-0000000bc",
        "memory:za-0000000b",
        "context:_a-0000000b",
    ]
    keys += [
        "context:a-0000000b-note",
        "memory:a-0000000b_c-0000000d",
        "context:-0000000b",
        "context:a-0000000b-0000000c",
    ]
    lab.run(*(f"INSERT INTO key_value_store (key, value) VALUES ('{one}', '{{}}')" for one in keys))
    lab.save()
    lab.work_out()
    state = StoredState(lab.repository, lab.save())
    name = ("memory", "key_value_store")
    descriptor = state.descriptors()[name]
    shape = Shape(descriptor, descriptor.columns, state.get)
    for agent in (
        "a-0000000b",
        "za-0000000b",
        "_a-0000000b",
        "c-0000000d",
        "a-0000000b_c-0000000d",
        "a-0000000b-0000000c",
    ):
        owners = Owners(frozenset((agent,)))
        own = {one[0] for one in every(state, name) if owners.own(descriptor, decode_key(one[0]), shape.stored(one))}
        found = referring(state, [agent])
        assert found is not None
        assert {key for path, key in found[agent] if path == descriptor.path} == own


def test_a_key_that_may_name_more_than_is_worked_out_is_looked_at_when_it_is_asked_for(lab: Lab) -> None:
    lab.save()
    lab.work_out()
    lab.save()
    lab.run(f"INSERT INTO key_value_store (key, value) VALUES ('context:a{'-0000000b' * 4000}', '{{}}')")
    hostile = lab.save()
    assert referring(StoredState(lab.repository, hostile), ["a-0000000b"]) is None
    assert not lab.work_out()
    lab.run("DELETE FROM key_value_store WHERE length(key) > 10000")
    lab.require_whole(lab.save())
