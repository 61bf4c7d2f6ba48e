"""Parts of a checkpoint by what they belong to, by what they contain, and down to one value; and what needs what."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from maos_ckpt.errors import InterruptedByUserError, NotFoundError, PartialError, UsageError
from maos_ckpt.model import MergePolicy, Plan, Progress, Selection
from maos_ckpt.operations import recoveries
from maos_ckpt.recovery.referrers import work_out
from tests.recovery.conftest import Site, kinds

A, B = "analyst-0000000a", "builder-0000000b"
SESSION, OTHER = "0b5c4a9e-8f1d-4c3a-9b7e-2f6d1a0c5e48", "11111111-8f1d-4c3a-9b7e-2f6d1a0c5e48"


def fill(site: Site) -> None:
    """Two agents with everything that can belong to one, an orchestration of both, and a stranger."""
    site.run(
        f"INSERT INTO agents (id, name, session_id) VALUES ('{A}', 'Ana', '{SESSION}'), ('{B}', 'Bo', '{OTHER}')",
        f"INSERT INTO sessions (session_id, agent_id, conversation_history, turn_count)"
        f""" VALUES ('s-a', '{A}', '[{{"role": "user",  "content": "x"}}]', 1), ('s-b', '{B}', NULL, 0)""",
        f"INSERT INTO tasks (id, description, assigned_agents) VALUES ('task-{A}', 'dig', '[]'),"
        f" ('t-both', 'fill', '[\"{A}\", \"{B}\"]'), ('t-b', 'rest', '[\"{B}\"]')",
        f"INSERT INTO messages (id, from_agent, to_agent, message) VALUES (1, '{A}', NULL, 'Hello World'),"
        f" (2, '{B}', '{A}', 'hi'), (3, '{B}', NULL, 'invoice 17')",
        f"INSERT INTO key_value_store VALUES ('memory:{A}:1', '{{\"a\": 1}}', NULL), ('context:x-{A}', '2', NULL),"
        f" ('memory:senior-{A}', '3', NULL), ('artifact:{A}', '4', NULL)",
        f"INSERT INTO orchestrations (id, request, agents, batches) VALUES ('o-1', 'r', '[\"{A}\"]', '[[\"{A}\"]]')",
        "INSERT INTO checkpoints (id, name) VALUES ('o-1', 'orchestration_o1'), ('o-2', 'orchestration_o2')",
    )
    site.transcript(SESSION, '{"a": 1}', '{"a": 2}')
    site.transcript(OTHER, '{"b": 1}')


def ruin(site: Site) -> None:
    """Lose or change every record of it."""
    site.run(
        "UPDATE agents SET name = 'gone'",
        "UPDATE sessions SET task = 'gone'",
        "UPDATE tasks SET description = 'gone'",
        "UPDATE messages SET message = 'gone'",
        "UPDATE key_value_store SET updated_at = 'gone'",
        "UPDATE orchestrations SET request = 'gone'",
        "UPDATE checkpoints SET description = 'gone'",
    )
    site.transcript(SESSION, '{"a": 1}', '{"gone": 2}')
    site.transcript(OTHER, '{"gone": 1}')


def touched(plan: Plan) -> set[str]:
    return {f"{one.component}/{one.collection}/{one.key}" for one in plan.changes}


OF_AGENT = {
    f"agents/agents/{A}",
    "memory/sessions/s-a",
    f"tasks/tasks/task-{A}",
    "tasks/tasks/t-both",
    "queue/messages/1",
    "queue/messages/2",
    f"memory/key_value_store/memory:{A}:1",
}


def test_an_agent_comes_with_all_that_is_its_own_and_nothing_else(site: Site) -> None:
    fill(site)
    site.save()
    ruin(site)
    slug = site.layout.slugs[0]
    plan = site.plan(selection=Selection(agents=(A,)))
    assert touched(plan) == OF_AGENT | {f"memory/transcripts/{slug}/{SESSION}.jsonl/2"}
    done = site.recover(selection=Selection(agents=(A,)), digest=plan.digest)
    assert done.verified
    assert site.run("SELECT id, name FROM agents ORDER BY id")[:3] == [
        ("a-0000000a", "gone"),
        (A, "Ana"),
        ("b-0000000b", "gone"),
    ]
    assert site.run("SELECT message FROM messages ORDER BY id") == [("Hello World",), ("hi",), ("gone",)]
    assert site.undo().verified
    assert site.run("SELECT DISTINCT message FROM messages") == [("gone",)]


def test_it_makes_no_difference_whether_the_checkpoint_knows_what_refers_to_an_agent(site: Site) -> None:
    fill(site)
    site.save()
    with site.workspace.writing("references") as (repository, _):
        assert work_out(repository)
    site.run("UPDATE agents SET capabilities = '[]'")
    knows = site.save()
    assert knows.referrers is not None
    site.run("UPDATE messages SET message = 'since' WHERE id = 2")
    ruin(site)
    selections = [Selection(agents=(A,)), Selection(orchestrations=("o-1",), with_dependencies=True)]
    selections += [Selection(agents=(A, B), exact=True), Selection(agents=(B,), merge=MergePolicy.ADD_MISSING)]
    for live_is_there in (True, False):
        if not live_is_there:
            site.run(*(f"DELETE FROM {table}" for table in ("messages", "sessions", "tasks", "key_value_store")))
        found = [site.plan(knows.id, one) for one in selections]
        # Where anything else is chosen too, all records are compared.
        more = [site.plan(knows.id, replace(one, records=("system/schema/table/agents",))) for one in selections]
        assert [one.changes for one in found] == [one.changes for one in more]
        assert touched(found[0]) >= OF_AGENT


def test_an_orchestration_comes_with_its_checkpoints_and_agents(site: Site) -> None:
    fill(site)
    site.save()
    ruin(site)
    found = touched(site.plan(selection=Selection(orchestrations=("o-1",))))
    assert found >= OF_AGENT | {"system/orchestrations/o-1", "system/checkpoints/orchestration_o1"}
    assert not found & {f"agents/agents/{B}", "system/checkpoints/orchestration_o2"}


def test_agents_of_an_orchestration_that_only_the_checkpoint_knows_count(site: Site) -> None:
    fill(site)
    site.save()
    ruin(site)
    site.run("UPDATE orchestrations SET agents = '[]', batches = NULL")
    assert touched(site.plan(selection=Selection(orchestrations=("o-1",)))) >= OF_AGENT


@pytest.mark.parametrize(("text", "key"), [("hello world", "queue/messages/1"), ("INVOICE", "queue/messages/3")])
def test_a_search_finds_what_contained_the_text_then_whatever_the_case(site: Site, text: str, key: str) -> None:
    fill(site)
    site.save()
    ruin(site)
    assert touched(site.plan(selection=Selection(searches=(text,)))) == {key}


def test_a_search_finds_what_contains_the_text_now_and_takes_transcripts_whole(site: Site) -> None:
    fill(site)
    site.save()
    site.transcript(SESSION, '{"corrupted": 1}', '{"gone": 2}', '{"more": 3}')
    path = f"memory/transcripts/{site.layout.slugs[0]}/{SESSION}.jsonl"
    selection = Selection(searches=("corrupted",))
    assert touched(site.plan(selection=selection)) == {f"{path}/{number}" for number in (1, 2, 3)}
    assert site.recover(selection=selection).verified
    found = site.layout.projects / site.layout.slugs[0] / f"{SESSION}.jsonl"
    assert found.read_text() == '{"a": 1}\n{"a": 2}\n'
    assert site.undo().verified
    assert found.read_text() == '{"corrupted": 1}\n{"gone": 2}\n{"more": 3}\n'


@pytest.mark.parametrize(
    ("selection", "hint"),
    [
        (Selection(agents=("analist-0000000a",)), A),
        (Selection(orchestrations=("o-3",)), "o-1"),
        (Selection(searches=("nobody says this",)), "shorter part"),
        (Selection(fields=(f"tasks/tasks/task-{B}:status",)), f"task-{A}"),
        (Selection(fields=(f"agents/agents/{A}:nane",)), "'name'"),
        (Selection(fields=(f"memory/key_value_store/memory:{A}:1:value.b",)), "value.a"),
        (Selection(fields=("tasks/tsks/x:status",)), "tasks/tasks"),
    ],
)
@pytest.mark.parametrize("ruined", [False, True])
def test_what_nobody_has_is_refused_with_what_is_nearest(
    site: Site, selection: Selection, hint: str, ruined: bool
) -> None:
    fill(site)
    site.save()
    if ruined:
        ruin(site)
    with pytest.raises(NotFoundError) as caught:
        site.plan(selection=selection)
    assert hint in caught.value.hint
    with pytest.raises(NotFoundError):
        site.recover(selection=selection)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(components=("",)),
        Selection(searches=(" ",)),
        Selection(agents=("",)),
        Selection(fields=("tasks/tasks/x",)),
        Selection(fields=("tasks/tasks/x:a..b",)),
        Selection(exact=True, merge=MergePolicy.ADD_MISSING),
        Selection(fields=(f"agents/agents/{A}:id",)),
    ],
)
def test_an_empty_or_contradictory_selection_is_refused(site: Site, selection: Selection) -> None:
    fill(site)
    site.save()
    ruin(site)
    with pytest.raises(UsageError) as caught:
        site.plan(selection=selection)
    assert caught.value.hint


HISTORY = "memory/sessions/s-a:conversation_history"


def test_one_field_is_put_back_and_everything_around_it_stays_byte_for_byte(site: Site) -> None:
    fill(site)
    site.save()
    live = '[ {"role":"user", "content": "y" ,"more":[1,2]},\t{"role": "x"} ]'
    site.run("UPDATE sessions SET turn_count = 2, task = 'new', conversation_history = '" + live + "'")
    selection = Selection(fields=(f"{HISTORY}[0].content",))
    plan = site.plan(selection=selection)
    (change,) = plan.changes
    assert [(one.path, one.before, one.after) for one in change.fields] == [
        ("conversation_history[0].content", "y", "x")
    ]
    assert site.recover(selection=selection, digest=plan.digest).verified
    row = site.run("SELECT conversation_history, turn_count, task FROM sessions WHERE session_id = 's-a'")
    assert row == [(live.replace('"y"', '"x"'), 2, "new")]
    # MAOS goes on with the record: the undo takes back the field alone.
    site.run("UPDATE sessions SET turn_count = 3")
    assert site.undo().verified
    row = site.run("SELECT conversation_history, turn_count FROM sessions WHERE session_id = 's-a'")
    assert row == [(live, 3)]


def test_a_field_that_is_not_there_live_comes_and_an_undo_leaves_no_trace(site: Site) -> None:
    site.run('UPDATE agents SET metadata = \'{"task": "dig", "odd.key": [1]}\'')
    site.save()
    live = '{"other": 1 }'
    site.run(f"UPDATE agents SET metadata = '{live}'")
    fields = ("agents/agents/a-0000000a:metadata.task", 'agents/agents/a-0000000a:metadata["odd.key"]')
    assert site.recover(selection=Selection(fields=fields)).verified
    (row,) = site.run("SELECT metadata FROM agents WHERE id = 'a-0000000a'")
    assert row == ('{"other": 1, "task": "dig", "odd.key": [1] }',)
    assert site.undo().verified
    assert site.run("SELECT metadata FROM agents WHERE id = 'a-0000000a'") == [(live,)]


@pytest.mark.parametrize("live", ["no json", "[]", '{"task": 1', "NULL"])
def test_a_field_without_a_place_is_a_conflict_and_stays(site: Site, live: str) -> None:
    site.run('UPDATE agents SET metadata = \'{"task": {"of": "dig"}}\'')
    site.save()
    site.run("UPDATE agents SET metadata = " + (live if live == "NULL" else f"'{live}'"))
    plan = site.plan(selection=Selection(fields=("agents/agents/a-0000000a:metadata.task.of",)))
    assert (plan.summary.total, plan.conflicts) == (0, 1)
    assert "conflict" in kinds(plan.findings)


def test_a_whole_column_is_a_field_and_a_lost_record_is_a_conflict(site: Site) -> None:
    site.save()
    site.run("UPDATE agents SET name = 'Eve', status = 'lost'", "DELETE FROM agents WHERE id = 'b-0000000b'")
    selection = Selection(fields=("agents/agents/a-0000000a:name", "agents/agents/b-0000000b:name"))
    done = site.recover(selection=selection)
    assert (done.plan.summary.total, done.plan.conflicts, done.partial) == (1, 1, True)
    assert site.run("SELECT name, status FROM agents") == [("Ada", "lost")]


def test_every_added_record_says_what_needs_it(site: Site) -> None:
    fill(site)
    site.run("UPDATE tasks SET parent_task_id = 't-b' WHERE id = 't-both'")
    site.save()
    site.run("PRAGMA foreign_keys = OFF", f"DELETE FROM agents WHERE id IN ('{A}', '{B}')", "DELETE FROM tasks")
    (site.layout.projects / site.layout.slugs[0] / f"{SESSION}.jsonl").unlink()
    (site.layout.projects / site.layout.slugs[0] / f"{OTHER}.jsonl").unlink()
    selection = Selection(records=("tasks/tasks/t-both",), with_dependencies=True)
    plan = site.plan(selection=selection)
    reasons = {f"{one.collection}/{one.key.rpartition('/')[2]}": one.reason for one in plan.changes}
    both = "needed by tasks/tasks/t-both: tasks"
    assert reasons["tasks/t-both"] == ""
    assert reasons["tasks/t-b"] == f"{both}.parent_task_id"
    assert reasons[f"agents/{A}"] == f"{both}.assigned_agents"
    assert reasons[f"transcript_files/{SESSION}.jsonl"] == f"needed by agents/agents/{A}: agents.session_id"
    assert all(reason for key, reason in reasons.items() if key != "tasks/t-both")
    assert not [one for one in plan.findings if one.kind == "references"]
    done = site.recover(selection=selection, digest=plan.digest)
    assert done.verified
    found = site.layout.projects / site.layout.slugs[0] / f"{SESSION}.jsonl"
    assert found.read_text() == '{"a": 1}\n{"a": 2}\n'
    assert site.undo().verified
    assert not found.exists()
    assert site.run("SELECT count(*) FROM tasks") == [(0,)]


def test_the_digest_covers_every_kind_of_selection(site: Site) -> None:
    fill(site)
    site.save()
    ruin(site)
    chosen = [
        Selection(),
        Selection(agents=(A,)),
        Selection(agents=(A,), merge=MergePolicy.ADD_MISSING),
        Selection(agents=(A,), merge=MergePolicy.KEEP_NEWER),
        Selection(searches=("hello",)),
        Selection(orchestrations=("o-1",)),
        Selection(fields=(f"agents/agents/{A}:name",)),
        Selection(records=(f"agents/agents/{A}",)),
    ]
    assert len({site.plan(selection=one).digest for one in chosen}) == len(chosen)


def test_an_undo_finds_what_was_changed_though_it_belongs_to_nobody_now(site: Site) -> None:
    fill(site)
    site.save()
    ruin(site)
    assert site.recover(selection=Selection(agents=(A,))).verified
    # MAOS gives the agent another session and its tasks to somebody else.
    site.run(f"UPDATE agents SET session_id = '{OTHER}'", "UPDATE tasks SET assigned_agents = '[]'")
    assert site.undo().verified
    found = site.layout.projects / site.layout.slugs[0] / f"{SESSION}.jsonl"
    assert found.read_text() == '{"a": 1}\n{"gone": 2}\n'
    assert site.run("SELECT description FROM tasks WHERE id = 't-both'") == [("gone",)]
    # And an undo of the undo knows as well.
    assert site.undo().verified
    assert found.read_text() == '{"a": 1}\n{"a": 2}\n'
    assert json.loads(str(site.run("SELECT assigned_agents FROM tasks WHERE id = 't-both'")[0][0])) == []


def test_what_was_cut_short_is_finished_though_the_database_tells_of_other_sessions_by_then(site: Site) -> None:
    fill(site)
    site.save()
    ruin(site)
    site.run("UPDATE agents SET session_id = 'another'")

    def stop_after_the_first_file(step: Progress) -> None:
        if step.phase == "files":
            raise InterruptedByUserError("stopped")

    with pytest.raises(PartialError):
        recoveries.recover(
            site.workspace, "latest", Selection(agents=(A, B)), None, "test", 10, stop_after_the_first_file
        )
    folder = site.layout.projects / site.layout.slugs[0]
    kept = ['{"a": 1}\n{"a": 2}\n', '{"b": 1}\n']
    assert [(folder / f"{name}.jsonl").read_text() for name in (SESSION, OTHER)] != kept
    site.save()
    assert [(folder / f"{name}.jsonl").read_text() for name in (SESSION, OTHER)] == kept
    assert site.undo().verified
    assert [(folder / f"{name}.jsonl").read_text() for name in (SESSION, OTHER)] == [
        '{"a": 1}\n{"gone": 2}\n',
        '{"gone": 1}\n',
    ]
