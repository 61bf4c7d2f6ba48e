"""What a plan does to references, on states saved from and read from a real MAOS database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.codec.values import encode_key
from maos_ckpt.model import Checkpoint, Finding, Selection, Severity, Trigger
from maos_ckpt.recovery import transcript_rules
from maos_ckpt.recovery.lookup import every, lookup
from maos_ckpt.recovery.missing import missing_dependencies
from maos_ckpt.recovery.planner import Planner
from maos_ckpt.recovery.references import reference_findings, still_referenced
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.maos.layout import Layout
from maos_ckpt.sources.maos.source import MaosSource
from maos_ckpt.states import CollectionName, State, StoredState, live_state
from tests.lab.build import build_state
from tests.lab.schemas import create_schema

A, B, C = "analyst-0000000a", "builder-0000000b", "coder-0000000c"
SESSION = "0b5c4a9e-8f1d-4c3a-9b7e-2f6d1a0c5e48"


class Lab:
    """A MAOS directory and its repository."""

    def __init__(self, path: Path) -> None:
        (path / "work").mkdir()
        self.layout = Layout.of(path / "work", path / "claude", path / "home")
        self.source = MaosSource(self.layout, SYSTEM)
        self.repository = Repository.open_or_create(path / "repository", self.source.spec, SYSTEM)
        if not self.layout.database.exists():
            with closing(sqlite3.connect(self.layout.database, isolation_level=None)) as connection:
                create_schema(connection, "0.9")

    def run(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.layout.database, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    def save(self) -> Checkpoint:
        with self.repository.lease("save"):
            return save_checkpoint(self.repository, self.source, SaveRequest(Trigger.MANUAL), lambda step: None, SYSTEM)

    def plan(self, live: Checkpoint, target: Checkpoint, selection: Selection) -> Planner:
        return Planner(StoredState(self.repository, live), StoredState(self.repository, target), selection)

    def transcript(self, name: str, *lines: dict[str, object]) -> Path:
        path = self.layout.projects / self.layout.slugs[0] / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(one) + "\n" for one in lines))
        return path


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    found = Lab(tmp_path)
    yield found
    found.repository.close()


def agent(name: str, session: str | None = None) -> str:
    session_text = "NULL" if session is None else f"'{session}'"
    return f"INSERT INTO agents (id, name, session_id) VALUES ('{name}', '{name}', {session_text})"


def session(name: str, of: str) -> str:
    return f"INSERT INTO sessions (session_id, agent_id) VALUES ('{name}', '{of}')"


def task(name: str, parent: str | None = None, assigned: str = "[]") -> str:
    up = "NULL" if parent is None else f"'{parent}'"
    columns = "id, parent_task_id, description, assigned_agents"
    return f"INSERT INTO tasks ({columns}) VALUES ('{name}', {up}, 'd', '{assigned}')"


def message(number: int, of: str, to: str | None = None, kind: str = "info") -> str:
    target = "NULL" if to is None else f"'{to}'"
    return (
        "INSERT INTO messages (id, from_agent, to_agent, message, message_type)"
        f" VALUES ({number}, '{of}', {target}, 'm', '{kind}')"
    )


EVERYTHING = ("agents", "tasks", "memory", "queue", "system")
EMPTY = tuple(
    f"DELETE FROM {table}" for table in ("agents", "sessions", "tasks", "messages", "orchestrations", "checkpoints")
)


def findings(planner: Planner, *, running: bool = False) -> dict[str, Finding]:
    found = reference_findings(planner.live, planner.changes, running=running, whole=planner.selection.whole)
    return {one.object: one for one in found}


FULL = (
    agent(A, SESSION),
    agent(B),
    session(SESSION, A),
    task("root"),
    task("child", "root", f'["{A}", "analyst"]'),
    task(f"task-{B}", None, f'["{B}"]'),
    message(1, A, B),
    message(2, B),
    f"""INSERT INTO orchestrations (id, request, agents, batches, total_agents, successful_agents)
        VALUES ('o1', 'r', '["{A}", "{B}"]', '[["{A}"], ["{B}"]]', 2, 1)""",
    f"""INSERT INTO checkpoints (id, name, agent_sessions, task_states)
        VALUES ('o1', 'orchestration_o1', '{{"{A}": "{SESSION}"}}', '{{"root": {{}}}}')""",
)


def test_a_whole_recovery_of_a_clean_state_has_no_findings(lab: Lab) -> None:
    lab.run(*FULL)
    wanted = lab.save()
    lab.run(*EMPTY)
    assert findings(lab.plan(lab.save(), wanted, Selection())) == {}


@pytest.mark.parametrize(
    ("component", "checks"),
    [
        ("memory", {"sessions.agent_id": Severity.ERROR}),
        ("queue", {"messages.from_agent": Severity.ERROR, "messages.to_agent": Severity.ERROR}),
        ("tasks", {"tasks.assigned_agents": Severity.WARNING, "tasks.id": Severity.WARNING}),
        (
            "system",
            {
                "orchestrations.agents": Severity.WARNING,
                "checkpoints.agent_sessions": Severity.WARNING,
                "checkpoints.task_states": Severity.WARNING,
            },
        ),
        ("agents", {"agents.session_id": Severity.WARNING}),
    ],
)
def test_a_component_alone_names_what_would_lead_to_nobody(
    lab: Lab, component: str, checks: dict[str, Severity]
) -> None:
    lab.run(*FULL)
    wanted = lab.save()
    lab.run(*EMPTY)
    live = lab.save()
    found = findings(lab.plan(live, wanted, Selection(components=(component,))))
    assert {name: one.severity for name, one in found.items()} == checks
    for one in found.values():
        assert "(0 before," in one.message
        assert one.affected
    # All of them together need nothing else.
    assert findings(lab.plan(live, wanted, Selection(components=EVERYTHING))) == {}


def test_what_dangled_before_is_no_finding_and_what_is_mended_is_good_news(lab: Lab) -> None:
    lab.run(agent(A), message(1, "gone"), message(2, A), task("t", None, f'["{C}"]'))
    wanted = lab.save()
    lab.run("UPDATE messages SET message = 'spoilt'", "UPDATE tasks SET description = 'spoilt'")
    found = findings(lab.plan(lab.save(), wanted, Selection()))
    assert found == {}
    lab.run("UPDATE messages SET from_agent = 'nobody' WHERE id = 2")
    found = findings(lab.plan(lab.save(), wanted, Selection()))
    assert [one.message for one in found.values()] == [
        "1 reference by messages.from_agent that lead to nobody now would be mended."
    ]
    assert found["messages.from_agent"].severity is Severity.INFO


def test_agents_that_would_go_although_others_refer_to_them_are_named_and_can_be_kept(lab: Lab) -> None:
    lab.run(agent(A))
    wanted = lab.save()
    lab.run(agent(B), agent(C), session("s", B), message(1, B, A), message(2, A, B), task("t", None, f'["{B}"]'))
    planner = lab.plan(lab.save(), wanted, Selection(components=("agents",), exact=True))
    assert still_referenced(planner.live, planner.changes) == {("agents/agents", encode_key((B,)))}
    found = findings(planner, running=True)
    assert found["sessions.agent_id"].message.endswith("(0 before, 1 after).")
    assert found["sessions.agent_id"].affected == ("memory/sessions/s",)
    assert found["messages.from_agent"].affected == ("queue/messages/1",)
    assert found["tasks.assigned_agents"].severity is Severity.WARNING
    assert found["agents"].affected == (f"agents/agents/{B}", f"agents/agents/{C}")
    assert "MAOS is running" in found["agents"].message


def test_references_that_the_plan_itself_takes_away_do_not_hold_an_agent(lab: Lab) -> None:
    lab.run(agent(A), session("s", A), message(1, A))
    wanted = lab.save()
    lab.run(
        agent(B),
        message(2, B, B),
        f"UPDATE sessions SET agent_id = '{B}'",
        f"UPDATE messages SET to_agent = '{B}' WHERE id = 1",
    )
    live = lab.save()
    planner = lab.plan(live, wanted, Selection(components=("agents", "memory", "queue"), exact=True))
    assert still_referenced(planner.live, planner.changes) == frozenset()
    planner = lab.plan(live, wanted, Selection(components=("agents", "memory"), exact=True))
    assert still_referenced(planner.live, planner.changes) == {("agents/agents", encode_key((B,)))}
    found = findings(planner)
    assert found["messages.from_agent"].message.endswith("(0 before, 1 after).")
    assert found["messages.to_agent"].message.endswith("(0 before, 2 after).")
    assert "sessions.agent_id" not in found


def test_a_whole_recovery_beside_a_running_maos_names_the_agents_it_removes(lab: Lab) -> None:
    lab.run(agent(A))
    wanted = lab.save()
    lab.run(agent(B), session("s", B))
    planner = lab.plan(lab.save(), wanted, Selection())
    assert list(findings(planner, running=True)) == ["agents"]
    assert findings(planner, running=False) == {}


def test_a_reference_moved_from_one_missing_record_to_another_is_no_new_one(lab: Lab) -> None:
    lab.run(session("s", "gone-0000000d"))
    wanted = lab.save()
    lab.run("UPDATE sessions SET agent_id = 'gone-0000000e'")
    planner = lab.plan(lab.save(), wanted, Selection())
    assert [one.severity for one in reference_findings(planner.live, planner.changes, running=False)] == [Severity.INFO]


def test_transcripts_count_as_conversations(lab: Lab) -> None:
    lab.run(agent(A, SESSION))
    lab.transcript(SESSION, {"uuid": "1"})
    wanted = lab.save()
    lab.run("DELETE FROM agents")
    assert findings(lab.plan(lab.save(), wanted, Selection(components=("agents",)))) == {}
    lab.transcript(SESSION).unlink()
    live = lab.save()
    assert list(findings(lab.plan(live, wanted, Selection(components=("agents",))))) == ["agents.session_id"]
    assert findings(lab.plan(live, wanted, Selection(components=("agents", "memory")))) == {}


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE tasks SET result = '{torn'", "tasks.result is JSON"),
        ("UPDATE sessions SET conversation_history = '{}'", "sessions.conversation_history is a list"),
        ("UPDATE sessions SET conversation_history = '[1]', turn_count = 2", "sessions.turn_count counts the turns"),
        ("UPDATE messages SET message_type = 'handoff'", "messages.message_type is one that MAOS knows"),
        ("UPDATE messages SET message_type = CAST(x'ff' AS TEXT)", "messages.message_type is one that MAOS knows"),
        (f"UPDATE orchestrations SET batches = '[[\"{A}\"]]'", "orchestrations.batches hold its agents"),
        ("UPDATE orchestrations SET successful_agents = 9", "orchestrations.successful_agents is at most total_agents"),
        (
            "INSERT INTO sessions (session_id, agent_id) VALUES ('session-x-pending', '" + A + "')",
            "sessions.session_id names its agent",
        ),
        ("UPDATE tasks SET parent_task_id = 'child' WHERE id = 'root'", "tasks.parent_task_id"),
        ("UPDATE agents SET process_id = '123'", "agents.process_id"),
    ],
)
def test_records_that_were_wrong_in_the_checkpoint_are_named(lab: Lab, statement: str, check: str) -> None:
    lab.run(*FULL)
    clean = lab.save()
    lab.run(statement)
    wrong = lab.save()
    found = findings(lab.plan(clean, wrong, Selection()))
    assert list(found) == [check]
    assert found[check].affected
    assert findings(lab.plan(wrong, clean, Selection())) == {}


def test_transcripts_that_lose_a_link_or_belong_elsewhere_are_named(lab: Lab) -> None:
    directory = str(lab.layout.directory)

    def lines(*uuids: str) -> list[dict[str, object]]:
        chain = zip(uuids, (None, *uuids), strict=False)
        return [{"uuid": one, "parentUuid": parent, "sessionId": SESSION, "cwd": directory} for one, parent in chain]

    lab.transcript(SESSION, *lines("1", "2", "3"))
    whole = lab.save()
    lab.transcript(SESSION, *lines("1", "2", "3", "4"))
    grown = lab.save()
    lab.transcript(SESSION, *lines("1", "2"), {"uuid": "9", "parentUuid": "8", "sessionId": SESSION, "cwd": directory})
    torn = lab.save()
    lab.transcript(
        SESSION, *lines("1", "2"), {"uuid": "3", "parentUuid": "2", "sessionId": "other", "cwd": "/elsewhere"}
    )
    strange = lab.save()
    assert findings(lab.plan(grown, whole, Selection())) == {}
    assert findings(lab.plan(whole, grown, Selection())) == {}
    assert list(findings(lab.plan(whole, torn, Selection()))) == ["parentUuid"]
    assert findings(lab.plan(torn, whole, Selection())) == {}
    assert list(findings(lab.plan(whole, strange, Selection()))) == ["sessionId"]
    lab.transcript(SESSION).unlink()
    assert findings(lab.plan(lab.save(), whole, Selection())) == {}


def test_no_more_lines_are_looked_through_for_a_link_than_is_bounded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    chain: list[dict[str, object]] = [{"uuid": str(number), "parentUuid": str(number - 1)} for number in range(1, 30)]
    lab.transcript(SESSION, *chain)
    live = lab.save()
    asked: list[int] = []
    real = transcript_rules.lookup

    def counted(state: State, collection: CollectionName, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        asked.append(len(keys))
        return real(state, collection, keys)

    monkeypatch.setattr(transcript_rules, "lookup", counted)
    monkeypatch.setattr(transcript_rules, "LINKS_MAX", 5)
    for parent in ("29", "2"):
        lab.transcript(SESSION, *chain, {"uuid": "new", "parentUuid": parent})
        assert findings(lab.plan(live, lab.save(), Selection())) == {}
    assert asked == [5, 5]


def needed(lab: Lab, live: Checkpoint, wanted: Checkpoint, **selection: object) -> set[str]:
    planner = lab.plan(live, wanted, Selection(**selection))  # type: ignore[arg-type]
    found = missing_dependencies(planner.live, planner.target, planner.changes)
    return {f"{path}/{key[1:-1].decode()}" for path, key in found}


def test_missing_records_that_the_chosen_ones_need_are_found_in_turn(lab: Lab) -> None:
    lab.run(*FULL, task("grandchild", "child", f'["{B}"]'), message(3, B, A))
    wanted = lab.save()
    lab.run(*EMPTY)
    live = lab.save()
    agents = {f"agents/agents/{A}", f"agents/agents/{B}"}
    # An agent without its conversation cannot be continued.
    conversation = {f"memory/sessions/{SESSION}"}
    assert needed(lab, live, wanted, components=("memory",)) == {f"agents/agents/{A}"}
    assert needed(lab, live, wanted, components=("queue",)) == agents | conversation
    assert needed(lab, live, wanted, records=("tasks/tasks/grandchild",)) == {
        "tasks/tasks/child",
        "tasks/tasks/root",
        *agents,
        *conversation,
    }
    assert needed(lab, live, wanted, components=EVERYTHING) == set()


def test_records_that_are_there_are_not_taken_for_missing(lab: Lab) -> None:
    lab.run(*FULL)
    wanted = lab.save()
    lab.run(
        "DELETE FROM messages",
        f"UPDATE agents SET name = 'changed' WHERE id = '{A}'",
        f"DELETE FROM agents WHERE id = '{B}'",
    )
    assert needed(lab, lab.save(), wanted, components=("queue",)) == {f"agents/agents/{B}"}


def test_with_its_dependencies_a_component_has_no_findings(lab: Lab) -> None:
    lab.run(*FULL)
    wanted = lab.save()
    lab.run(*EMPTY)
    live = lab.save()
    for component in EVERYTHING:
        planner = lab.plan(live, wanted, Selection(components=(component,)))
        planner.extra = frozenset(missing_dependencies(planner.live, planner.target, planner.changes))
        assert [one for one in findings(planner).values() if one.severity is Severity.ERROR] == []


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    path = tmp_path_factory.mktemp("large")
    build_state(path / "work-built", path / "claude", 4 << 20, seed=2)
    found = Lab(path)
    (path / "work-built" / "maos.db").rename(found.layout.database)
    yield found
    found.repository.close()


def test_records_are_found_in_stored_trees_and_in_live_ones_alike(large: Lab) -> None:
    state = StoredState(large.repository, large.save())
    name = ("queue", "messages")
    all_of_them = dict(every(state, name))
    assert len(all_of_them) > 2000
    keys = [*list(all_of_them)[::97], encode_key((10**9,)), encode_key((-5,)), b""]
    expected = {key: all_of_them[key] for key in keys[:-3]}
    assert dict(lookup(state, name, keys)) == expected
    assert dict(lookup(state, ("queue", "nothing"), keys)) == {}
    large.run("UPDATE messages SET message_type = 'info'")
    with live_state(large.repository, large.source, lambda step: None, "plan") as live:
        assert not isinstance(live, StoredState)
        assert set(dict(lookup(live, name, keys))) == set(expected)


def test_a_large_plan_is_checked_against_a_live_state(large: Lab) -> None:
    wanted = large.save()
    large.run("UPDATE messages SET message = message || '!'", "DELETE FROM agents WHERE rowid % 3 = 0")
    with live_state(large.repository, large.source, lambda step: None, "plan") as live:
        planner = Planner(live, StoredState(large.repository, wanted), Selection(components=("queue",)))
        found = findings(planner)
        assert found == {}
        planner.extra = frozenset(missing_dependencies(planner.live, planner.target, planner.changes))
        assert {path for path, _ in planner.extra} == {"agents/agents"}


def test_an_agent_whose_conversation_goes_is_told_though_the_plan_does_not_touch_it(lab: Lab) -> None:
    wanted = lab.save()
    lab.run(agent(A, SESSION), agent(B, "s-b"), session("s-b", B))
    lab.transcript(SESSION, {"a": 1})
    live = lab.save()
    found = findings(lab.plan(live, wanted, Selection(components=("memory",), exact=True)))
    assert found["agents.session_id"].message == (
        "2 references by agents.session_id would lead to nobody (0 before, 2 after)."
    )


def test_of_a_conversation_in_two_places_one_is_enough(lab: Lab) -> None:
    lab.run(agent(A, SESSION))
    lab.transcript(SESSION, {"a": 1})
    wanted = lab.save()
    lab.run(session(SESSION, A))
    live = lab.save()
    planner = lab.plan(live, wanted, Selection(records=("memory/sessions/*",), exact=True))
    assert "agents.session_id" not in findings(planner)


def test_messages_that_a_checkpoint_of_maos_keeps_name_agents(lab: Lab) -> None:
    lab.run(
        f"""INSERT INTO checkpoints (id, name, message_history) VALUES ('c', 'auto',
            '[{{"from_agent": "{A}", "to_agent": null}}, 7, {{"to_agent": "{B}"}}]')"""
    )
    wanted = lab.save()
    lab.run(*EMPTY)
    found = findings(lab.plan(lab.save(), wanted, Selection(components=("system",))))
    assert "2 references" in found["checkpoints.message_history"].message


def test_a_counter_below_the_messages_that_come_back_is_told(lab: Lab) -> None:
    lab.run(agent(A), message(7, A), "UPDATE sqlite_sequence SET seq = 3")
    wanted = lab.save()
    lab.run("DELETE FROM messages", "UPDATE sqlite_sequence SET seq = 9")
    live = lab.save()
    found = findings(lab.plan(live, wanted, Selection()))
    assert "message 7 comes back, the counter is 3" in found["messages.id is at most sqlite_sequence"].message
    # A partial recovery only ever raises it.
    assert findings(lab.plan(live, wanted, Selection(components=("queue",)))) == {}
    assert findings(lab.plan(wanted, live, Selection())) == {}
