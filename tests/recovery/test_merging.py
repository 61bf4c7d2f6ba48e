"""What becomes of live records that differ, by policy; and which of two versions is the newer one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maos_ckpt.cli.recovery_text import plan_lines
from maos_ckpt.model import MergePolicy, Selection, Severity
from maos_ckpt.recovery.merge import Newer, newer
from tests.recovery.conftest import Site, kinds

ADD, NEWER = MergePolicy.ADD_MISSING, MergePolicy.KEEP_NEWER
UTC, LATER = "2026-01-01 10:00:00", "2026-01-01 11:00:00"
LOCAL, LOCAL_LATER = "2026-01-01T10:00:00.5", "2026-01-01T11:00:00"


@pytest.mark.parametrize(
    ("live", "checkpoint", "expected"),
    [
        ({"updated_at": UTC}, {"updated_at": LATER}, Newer.CHECKPOINT),
        ({"updated_at": LOCAL_LATER}, {"updated_at": LOCAL}, Newer.LIVE),
        # One in UTC, one local: an hour of difference says nothing.
        ({"updated_at": UTC}, {"updated_at": LOCAL_LATER}, Newer.UNKNOWN),
        ({"updated_at": UTC}, {"updated_at": UTC}, Newer.UNKNOWN),
        ({"updated_at": None}, {"updated_at": LATER}, Newer.UNKNOWN),
        (
            {"completed_at": LOCAL, "started_at": UTC},
            {"completed_at": LOCAL_LATER, "started_at": UTC},
            Newer.CHECKPOINT,
        ),
        ({"completed_at": LOCAL, "started_at": LATER}, {"completed_at": LOCAL_LATER, "started_at": UTC}, Newer.UNKNOWN),
        ({"created_at": UTC}, {"created_at": LATER}, Newer.UNKNOWN),
        ({"timestamp": 5}, {"timestamp": 6.5}, Newer.CHECKPOINT),
        ({"timestamp": "soon"}, {"timestamp": "later"}, Newer.UNKNOWN),
        ({"updated_at": "2026-13-01 10:00:00"}, {"updated_at": LATER}, Newer.UNKNOWN),
        ({"updated_at": "2026-01-01T10:00:00+02:00"}, {"updated_at": "2026-01-01T09:30:00+00:00"}, Newer.CHECKPOINT),
        ({"updated_at": "2026-01-01T10:00:00+02:00"}, {"updated_at": LOCAL_LATER}, Newer.UNKNOWN),
    ],
)
def test_the_newer_version_shows_by_times_of_one_form_in_one_column(
    live: dict[str, str], checkpoint: dict[str, str], expected: Newer
) -> None:
    assert newer(live, checkpoint) is expected


def test_missing_records_are_added_and_no_live_one_is_changed(site: Site) -> None:
    site.save()
    site.run("UPDATE agents SET name = 'Eve' WHERE id = 'b-0000000b'", "DELETE FROM agents WHERE id = 'a-0000000a'")
    done = site.recover(selection=Selection(components=("agents",), merge=ADD))
    assert (done.plan.summary.added, done.plan.summary.modified, done.plan.kept) == (1, 0, 1)
    assert (done.verified, done.partial) == (True, False)
    assert site.agents() == ["Ada", "Eve"]
    assert site.undo().verified
    assert site.agents() == ["Eve"]


def test_what_is_newer_live_stays_and_what_nobody_can_tell_is_a_conflict(site: Site) -> None:
    site.run(f"UPDATE agents SET last_active = '{LOCAL}'", "INSERT INTO tasks (id, description) VALUES ('t1', 'dig')")
    site.save()
    site.run(
        f"UPDATE agents SET name = 'Eve', last_active = '{LOCAL_LATER}' WHERE id = 'a-0000000a'",
        "UPDATE agents SET name = 'Eve', last_active = '2025-01-01T00:00:00' WHERE id = 'b-0000000b'",
        "UPDATE tasks SET description = 'rest'",
    )
    selection = Selection(merge=NEWER)
    plan = site.plan(selection=selection)
    assert (plan.summary.total, plan.kept, plan.conflicts) == (1, 1, 1)
    found = {one.kind: one.affected for one in plan.findings if one.kind in ("kept", "conflict")}
    assert found == {"kept": ("agents/agents/a-0000000a",), "conflict": ("tasks/tasks/t1",)}
    done = site.recover(selection=selection, digest=plan.digest)
    assert (done.verified, done.partial) == (True, True)
    assert site.agents() == ["Eve", "Bob"]
    assert site.run("SELECT description FROM tasks") == [("rest",)]


@pytest.mark.parametrize(
    ("live", "after", "kept", "conflicts"),
    [
        (("1", "2"), ("1", "2", "3"), 0, 0),
        (("1", "2", "3", "4"), ("1", "2", "3", "4"), 1, 0),
        (("1", "x", "3"), ("1", "x", "3"), 0, 1),
        (("1", "2", "x"), ("1", "2", "x"), 0, 1),
        ((), ("1", "2", "3"), 0, 0),
    ],
)
def test_of_two_transcripts_the_longer_one_stays_where_it_begins_as_the_other(
    site: Site, live: tuple[str, ...], after: tuple[str, ...], kept: int, conflicts: int
) -> None:
    path = site.transcript("s1", "1", "2", "3")
    site.save()
    site.transcript("s1", *live)
    done = site.recover(selection=Selection(components=("memory",), merge=NEWER))
    assert path.read_text().split() == list(after)
    assert (done.plan.kept, done.plan.conflicts) == (kept, conflicts)


def test_a_transcript_that_is_there_is_left_as_a_whole_where_only_what_is_missing_is_added(site: Site) -> None:
    torn, lost = site.transcript("s1", "1", "2", "3"), site.transcript("s2", "4")
    site.save()
    torn.write_text("1\n2")
    lost.unlink()
    done = site.recover(selection=Selection(merge=ADD))
    assert done.verified
    assert (torn.read_text(), lost.read_text()) == ("1\n2", "4\n")


def test_a_torn_last_line_counts_as_the_beginning_of_the_whole_one(site: Site) -> None:
    path = site.transcript("s1", '{"a": 1}', '{"b": 2}', '{"c": 3}')
    site.save()
    path.write_text('{"a": 1}\n{"b"')
    assert site.recover(selection=Selection(components=("memory",), merge=NEWER)).verified
    assert path.read_text() == '{"a": 1}\n{"b": 2}\n{"c": 3}\n'


def test_fields_follow_the_policy_too(site: Site) -> None:
    site.run(f"UPDATE agents SET metadata = '{{\"task\": 1}}', status = 'idle', last_active = '{LOCAL}'")
    site.save()
    site.run(f"UPDATE agents SET metadata = '{{\"task\": 2}}', status = NULL, last_active = '{LOCAL_LATER}'")
    fields = ("agents/agents/a-0000000a:metadata.task", "agents/agents/a-0000000a:status")
    assert site.plan(selection=Selection(fields=fields, merge=NEWER)).kept == 1
    done = site.recover(selection=Selection(fields=fields, merge=ADD))
    assert (done.plan.kept, done.verified) == (1, True)
    assert site.run("SELECT metadata, status FROM agents WHERE id = 'a-0000000a'") == [('{"task": 2}', "idle")]
    assert "kept" in kinds(done.plan.findings)


def test_a_part_tells_that_what_came_since_stays_and_names_the_first_of_them(site: Site) -> None:
    saved = site.save()
    for number in range(30):
        site.run(f"INSERT INTO tasks (id, description) VALUES ('n{number:02}', 'new')")
    part = Selection(components=("tasks",))
    plan = site.plan(saved.id, part)
    (found,) = (one for one in plan.findings if one.kind == "since")
    assert plan.summary.total == 0
    assert (found.severity, found.number, len(found.affected), found.beyond(5)) == (Severity.INFO, 30, 20, 25)
    assert found.message == "30 records that came since stay; an exact recovery removes them."
    assert "besides what is said above, the live state equals the selected part" in plan_lines(plan)[-1]
    assert "    … and 25 more" in plan_lines(plan)
    for other in (replace(part, exact=True), replace(part, merge=MergePolicy.ADD_MISSING), Selection()):
        assert not any(one.kind == "since" for one in site.plan(saved.id, other).findings)
