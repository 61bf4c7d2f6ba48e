"""What counts as trouble, which checkpoint is chosen then, and what is said about others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from maos_ckpt.errors import NotFoundError
from maos_ckpt.guide import signs
from maos_ckpt.model import Advice, Checkpoint, Recommendation, VerifyLevel
from maos_ckpt.operations import checkpoints, insights
from tests.recovery.conftest import Site, site
from tests.recovery.test_damaged_parts import spoil

__all__ = ["site"]


def guide(site: Site, name: str | None = None) -> Recommendation:
    return insights.recommend(site.workspace, name, lambda _: None)


def recommended(site: Site) -> Advice:
    found = guide(site).recommended
    assert found is not None
    return found


def add_tasks(site: Site, count: int, first: int = 0, status: str = "running") -> None:
    with site.connect() as connection:
        connection.execute("BEGIN")
        rows = [(f"t-{number:03}", f"task {number}", status) for number in range(first, first + count)]
        connection.executemany("INSERT INTO tasks (id, description, status) VALUES (?, ?, ?)", rows)


def work(site: Site, steps: int) -> Checkpoint:
    """Checkpoints of a MAOS that does its work; the last one."""
    for _ in range(steps):
        site.run("INSERT INTO messages (from_agent, message, message_type) VALUES ('a-0000000a', 'on it', 'info')")
        site.run("UPDATE tasks SET progress = coalesce(progress, 0) + 1 WHERE id = 't-000'")
        saved = site.save()
    return saved


Trouble = Callable[[Site], object]


def fail_agents(site: Site) -> None:
    site.run("UPDATE agents SET status = 'error'")


def delete_tasks(site: Site) -> None:
    site.run("DELETE FROM tasks WHERE id > 't-009'")


def rewrite_messages(site: Site) -> None:
    site.run("UPDATE messages SET message = 'KEEP GOING'")


def shorten_conversation(site: Site) -> None:
    turns = json.dumps([{"role": "assistant", "content": "KEEP GOING"}])
    site.run(f"UPDATE sessions SET conversation_history = '{turns}', turn_count = 1")


def cut_transcript(site: Site) -> None:
    site.transcript("one", '{"n": 0}')


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (fail_agents, "2 agents turned error (a-0000000a, b-0000000b)"),
        (delete_tasks, "20 tasks of 30 are gone (t-010, t-011, t-012, …)"),
        (rewrite_messages, "the message of 3 messages was rewritten (1, 2, 3)"),
        (shorten_conversation, "1 session lost turns of its conversation (s)"),
        (cut_transcript, "1 transcript lost lines, or had them replaced"),
    ],
)
def test_trouble_is_told_from_work_and_the_checkpoint_before_it_is_recommended(
    site: Site, trouble: Trouble, told: str
) -> None:
    add_tasks(site, 30)
    turns = json.dumps([{"role": "user", "content": f"turn {number}"} for number in range(3)])
    site.run(
        "INSERT INTO sessions (session_id, agent_id, conversation_history, turn_count)"
        f" VALUES ('s', 'a-0000000a', '{turns}', 3)"
    )
    site.transcript("one", *(f'{{"n": {number}}}' for number in range(5)))
    good = work(site, 3)
    trouble(site)
    work(site, 4)
    result = guide(site)
    assert result.recommended is not None
    assert result.recommended.checkpoint == good.id
    assert told in result.recommended.reasons[0]
    assert result.complete
    assert result.recommended.lost["messages"] == 4


def test_what_always_happens_is_no_trouble(site: Site) -> None:
    add_tasks(site, 60)
    for step in range(8):
        # A team whose tasks fail all the time.
        site.run(f"UPDATE tasks SET status = 'failed' WHERE id BETWEEN 't-{step * 3:03}' AND 't-{step * 3 + 2:03}'")
        newest = work(site, 1)
    result = guide(site)
    assert result.incident is None
    assert recommended(site).checkpoint == newest.id


def test_an_incident_that_goes_on_is_taken_from_its_beginning(site: Site) -> None:
    add_tasks(site, 60)
    good = work(site, 3)
    for step in range(6):
        site.run(f"UPDATE tasks SET status = 'failed' WHERE id BETWEEN 't-{step * 3:03}' AND 't-{step * 3 + 2:03}'")
        work(site, 1 + step % 2)
    result = guide(site)
    assert result.recommended is not None
    assert result.recommended.checkpoint == good.id
    assert "18 tasks turned failed" in result.recommended.reasons[0]


def test_what_was_made_good_since_is_no_trouble(site: Site) -> None:
    site.save()
    fail_agents(site)
    site.save()
    site.run("UPDATE agents SET status = 'active'")
    newest = site.save()
    assert guide(site).incident is None
    assert recommended(site).checkpoint == newest.id


def test_a_recovery_is_no_incident_and_its_safety_checkpoint_is_not_recommended(site: Site) -> None:
    good = site.save()
    add_tasks(site, 20)
    site.save()
    done = site.recover(good.id)
    assert done.safety_checkpoint is not None
    result = guide(site, done.safety_checkpoint)
    assert result.incident is None
    assert result.asked is not None
    assert any("safety checkpoint" in one and "before the recovery" in one for one in result.asked.warnings)
    assert result.recommended is not None
    assert result.recommended.checkpoint != done.safety_checkpoint


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it_and_that_is_said(site: Site) -> None:
    older = work(site, 2)
    nearer = work(site, 1)
    fail_agents(site)
    work(site, 1)
    with site.workspace.marking("verify") as repository:
        repository.set_marks(nearer, damaged=True)
    result = guide(site, nearer.id)
    assert result.recommended is not None
    assert result.recommended.checkpoint == older.id
    assert any(one.startswith(nearer.id) and "nearer, and damaged" in one for one in result.recommended.warnings)
    assert result.asked is not None
    assert any(one.startswith("It is damaged") for one in result.asked.warnings)


def test_a_checkpoint_that_turns_out_to_be_damaged_as_it_is_read_is_not_recommended(site: Site) -> None:
    older = work(site, 2)
    nearer = work(site, 1)
    fail_agents(site)
    work(site, 1)
    spoil(site, nearer, "queue/messages")
    result = guide(site)
    assert result.recommended is not None
    assert result.recommended.checkpoint == older.id
    assert any(one.startswith(nearer.id) and "nearer, and damaged" in one for one in result.recommended.warnings)


def test_an_older_one_and_one_with_the_damage_are_warned_of(site: Site) -> None:
    oldest = work(site, 1)
    good = work(site, 2)
    fail_agents(site)
    bad = work(site, 1)
    about = guide(site, oldest.id).asked
    assert about is not None
    assert f"2 newer checkpoints would lose less, {good.id} the least." in about.warnings
    assert about.reasons[0].startswith("From before it went wrong")
    about = guide(site, bad.id).asked
    assert about is not None
    assert about.warnings[0].startswith("It holds the damage, or a part of it (")


def test_verifications_are_told_with_their_age(site: Site) -> None:
    first = site.save()
    unread = "It has not been read back in full since it was taken."
    assert unread in recommended(site).warnings
    checkpoints.verify(site.workspace, [first.id], VerifyLevel.STANDARD, lambda _: None)
    assert unread in recommended(site).warnings
    checkpoints.verify(site.workspace, [first.id], VerifyLevel.FULL, lambda _: None)
    assert "Verified in full 0 s ago." in recommended(site).reasons
    add_tasks(site, 1)
    site.save()
    assert unread in recommended(site).warnings
    checkpoints.verify(site.workspace, [], VerifyLevel.FULL, lambda _: None)
    assert "Verified in full 0 s ago." in recommended(site).reasons


def test_a_partial_checkpoint_is_warned_of_in_the_words_of_its_capture(site: Site) -> None:
    elsewhere = site.folder / "elsewhere"
    (elsewhere / "agents").mkdir(parents=True)
    (elsewhere / "agents" / "reviewer.md").write_text("Review.")
    (site.layout.directory / ".claude").symlink_to(elsewhere)
    site.save()
    warned = [one for one in recommended(site).warnings if one.startswith("When it was taken: ")]
    assert [one for one in warned if "was left out: it is reached through a symbolic link" in one]


def test_a_lost_database_is_an_incident_too(site: Site) -> None:
    add_tasks(site, 12)
    good = site.save()
    site.database.unlink()
    result = guide(site)
    assert result.incident is not None
    assert result.recommended is not None
    assert result.recommended.checkpoint == good.id
    assert "all 12 tasks went" in result.recommended.reasons[0]


@pytest.mark.parametrize("start", [0, 4096])
def test_a_live_state_that_cannot_be_read_leaves_advice(site: Site, start: int) -> None:
    add_tasks(site, 200)
    good = work(site, 2)
    with site.database.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * (site.database.stat().st_size - start))
    found = recommended(site)
    assert found.checkpoint == good.id
    assert any("cannot be" in one for one in found.warnings)
    assert not any("work would be lost" in one for one in found.reasons)
    assert not guide(site).complete


def test_what_is_remembered_is_bounded_and_the_look_back_ends_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs, "REMEMBERED_MAX", 10)
    for number in range(5):
        add_tasks(site, 4, number * 4)
        site.save()
    result = guide(site)
    assert not result.complete
    assert result.looked_at < 5
    assert result.recommended is not None


def test_the_turns_that_are_remembered_are_bounded_in_bytes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "REMEMBERED_BYTES_MAX", 100)
    site.run("INSERT INTO sessions (session_id, agent_id) VALUES ('s', 'a-0000000a'), ('t', 'a-0000000a')")
    for number in range(5):
        turns = json.dumps([{"content": turn} for turn in range(10 + number)])
        site.run(f"UPDATE sessions SET conversation_history = '{turns}'")
        site.save()
    result = guide(site)
    assert (result.complete, result.looked_at) == (False, 2)


def test_what_cannot_be_read_is_left_out_of_the_look(site: Site) -> None:
    add_tasks(site, 50)
    site.save()
    add_tasks(site, 50, 50)
    damaged = site.save()
    add_tasks(site, 1, 100)
    newest = site.save()
    path: Path = site.workspace.repository / damaged.pack
    path.chmod(0o600)
    path.write_bytes(b"x" * path.stat().st_size)
    result = guide(site)
    assert not result.complete
    assert result.recommended is not None
    assert result.recommended.checkpoint == newest.id


def test_a_checkpoint_whose_description_cannot_be_read_leaves_advice(site: Site) -> None:
    good = site.save()
    site.run("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
    damaged = site.save()
    fail_agents(site)
    site.run("DROP TABLE notes")
    newest = site.save()
    assert newest.descriptors == good.descriptors
    site.spoil(damaged.descriptors)
    result = guide(site)
    assert not result.complete
    assert result.recommended is not None
    assert result.recommended.checkpoint == newest.id


def test_without_a_checkpoint_none_is_recommended(site: Site) -> None:
    with pytest.raises(NotFoundError):
        guide(site)
