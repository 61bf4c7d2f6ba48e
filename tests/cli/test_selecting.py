"""Parts of a checkpoint from the command line: every kind of selection, and the command that applies a plan exactly."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing

from maos_ckpt.cli.options import COMMANDS, parser_for
from maos_ckpt.cli.selecting import MERGE_POLICIES, selection_of, words_of
from maos_ckpt.model import MergePolicy, Selection
from tests.cli.conftest import Cli


def one(cli: Cli, sql: str) -> tuple[object, ...]:
    with closing(sqlite3.connect(cli.database)) as connection:
        row: tuple[object, ...] = connection.execute(sql).fetchone()
        return row


def test_one_agent_is_planned_and_the_printed_command_applies_exactly_that(cli: Cli) -> None:
    (agent,) = one(cli, "SELECT from_agent FROM messages LIMIT 1")
    cli.save()
    cli.execute("UPDATE messages SET message = 'gone'")
    cli.execute("UPDATE agents SET name = 'gone'")
    words = ("restore", "latest", "--agent", str(agent), "--merge", "replace", "--with-dependencies")
    shown = cli.ok(*words, "--dry-run", "--json").json
    plan = shown["plan"]
    assert plan["by_component"]["agents"] == {"added": 0, "modified": 1, "removed": 0}
    assert plan["summary"]["modified"] == len(plan["changes"]) < one(cli, "SELECT count(*) FROM messages")[0]
    assert (plan["kept"], plan["conflicts"], plan["truncated"]) == (0, 0, False)
    command = shlex.split(shown["command"])
    done = cli.ok(*command[1:], "--json").json
    assert (done["applied"], done["verified"]) == (True, True)
    assert done["plan"]["digest"] == plan["digest"]
    assert one(cli, "SELECT count(*) FROM agents WHERE name <> 'gone'") == (1,)
    text = cli.ok("undo", "--yes").out
    assert "verified" in text
    assert one(cli, "SELECT count(*) FROM agents WHERE name <> 'gone'") == (0,)


def test_conflicts_and_what_stays_are_counted_and_make_it_done_in_part(cli: Cli) -> None:
    (agent,) = one(cli, "SELECT id FROM agents LIMIT 1")
    cli.save()
    cli.execute("UPDATE agents SET last_active = NULL, name = 'gone' WHERE id = ?", agent)
    words = ("restore", "latest", "--component", "agents", "--merge", "keep-newer")
    assert cli.ok(*words, "--dry-run", "--json").json["plan"]["conflicts"] == 1
    text = cli.ok(*words, "--dry-run").out
    assert "it cannot be told what to take; live stays as it is" in text
    assert f"agents/agents/{agent}" in text
    assert "Nothing to write" in text
    assert cli.run(*words, "--yes").code == 8


def test_a_field_and_a_search_come_alone(cli: Cli) -> None:
    task, status = one(cli, "SELECT id, status FROM tasks LIMIT 1")
    cli.save()
    cli.execute("UPDATE tasks SET status = 'gone', description = description || ' Zebra'")
    cli.ok("restore", "latest", "--field", f"tasks/tasks/{task}:status", "--yes")
    assert one(cli, "SELECT count(*) FROM tasks WHERE status <> 'gone'") == (1,)
    assert one(cli, "SELECT count(*) FROM tasks WHERE description NOT LIKE '% Zebra'") == (0,)
    found = cli.ok("restore", "latest", "--search", "zebra", "--dry-run", "--json").json["plan"]
    assert found["by_component"].keys() == {"tasks"}
    assert status is not None


def test_a_selection_that_means_nothing_is_refused_and_says_what_to_do(cli: Cli) -> None:
    cli.save()
    cases: tuple[tuple[tuple[str, ...], int, str], ...] = (
        (("--agent", "nobody-00000000"), 3, ""),
        (("--search", "no such words anywhere"), 3, "shorter"),
        (("--search", ""), 2, "everything is recovered"),
        (("--field", "tasks"), 2, "COLUMN"),
        (("--merge", "newest"), 2, ""),
        (("--exact", "--merge", "keep-newer"), 2, "--exact"),
    )
    for words, code, hint in cases:
        result = cli.run("restore", "latest", *words, "--dry-run", "--json")
        assert (result.code, result.out) == (code, ""), words
        assert hint in result.error["hint"]


def test_every_option_is_typed_again_as_it_was_meant() -> None:
    assert list(MERGE_POLICIES) == [one.value for one in MergePolicy]
    assert MergePolicy(MERGE_POLICIES[0]) is Selection().merge
    meant = Selection(
        components=("tasks",),
        records=("a/b/-c*",),
        exact=False,
        with_dependencies=True,
        searches=("--yes",),
        agents=("analyst-1", "b"),
        orchestrations=("o",),
        fields=("tasks/tasks/x:result.y[0]",),
        merge=MergePolicy.ADD_MISSING,
    )
    for one_meant in (meant, Selection(), Selection(exact=True)):
        parsed = parser_for(COMMANDS["restore"]).parse(["latest", *words_of(one_meant)])
        assert selection_of(parsed) == one_meant


def test_a_dry_run_in_json_lists_every_change_and_with_a_limit_so_many(cli: Cli) -> None:
    cli.save()
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)"
    cli.execute(f"INSERT INTO tasks (id, description) {rows} SELECT 'new-' || i, 'd' FROM n")
    words = ("restore", "latest", "--dry-run", "--json")
    plan = cli.ok(*words).json["plan"]
    assert (len(plan["changes"]), plan["truncated"], plan["summary"]["removed"]) == (1500, False, 1500)
    assert plan["changes"][0]["fields"]
    few = cli.ok(*words, "--limit", "3").json["plan"]
    assert (few["changes"], few["truncated"]) == (plan["changes"][:3], True)
    assert few["digest"] == plan["digest"]
