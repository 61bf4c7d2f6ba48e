"""Random selections of all kinds on a MAOS that keeps writing: what is applied is what was planned, and undo undoes it.

`python -m tests.recovery.selections --rounds 100 [--seed N]` prints a line for each round that fails and a summary; the
suite runs a few rounds of it. In each round the live state is disturbed and a random part of a random checkpoint is
planned and applied while MAOS writes 60 times a second through maos-cli's own classes. At the moment of the commit,
while MAOS still stands, the database and the files are read without this project's code and compared with what the
plan says, and with what an oracle says that knows no planner.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from maos_ckpt.codec.values import decode_key
from maos_ckpt.config import Config
from maos_ckpt.errors import ConflictError, NotFoundError, PlanMovedError
from maos_ckpt.model import MergePolicy, Plan, Progress, Selection, Trigger
from maos_ckpt.operations import checkpoints, recoveries
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.completion import complete
from maos_ckpt.recovery.planner import Planner
from maos_ckpt.recovery.referrers import work_out
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.maos.layout import Layout
from maos_ckpt.states import StoredState
from tests.lab.build import build_state
from tests.lab.mutate import KEYS, mutate
from tests.lab.writers import LiveMaos
from tests.recovery.oracle import Key, Oracle, State, on_disk, predicted, same, stored

CHECKPOINTS_MAX = 6
ATTEMPTS_PER_ROUND = 20
AGENTS_MIN = 10
KINDS = ("component", "record", "search", "agent", "orchestration", "field", "mixed", "all")


class Watch:
    """Reads the live state when a recovery has committed and MAOS still stands."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.after: State | None = None

    def __call__(self, step: Progress) -> None:
        if step.phase == "verify" and self.after is None:
            self.after = on_disk(self._layout)


class Rounds:
    """One MAOS, its repository, and the rounds on it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        (folder / "claude" / "projects").mkdir(parents=True)
        build_state(folder / "work", folder / "claude", 150_000, seed=seed, transcript_bytes=60_000)
        self.layout = Layout.of(folder / "work", folder / "claude", folder)
        spec = f"maos:{self.layout.directory}"
        self.workspace = Workspace(folder / "repository", spec, folder / "claude", Config(), SYSTEM)
        self.saved: list[str] = []
        self.counts: collections.Counter[str] = collections.Counter()

    def save(self) -> None:
        """One more checkpoint to choose from; some know which records refer to which agent."""
        if self.saved and self.rng.random() < 0.5:
            with self.workspace.writing("references") as (repository, _):
                self.counts["references worked out"] += work_out(repository)
        one = checkpoints.save(self.workspace, Trigger.MANUAL, "", (), lambda step: None)
        # The first one stays: what the rounds wear away comes back from it.
        self.saved = [*self.saved[:1], *self.saved[1:][1 - CHECKPOINTS_MAX :], one.id]

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Runs a statement on the live database, as another program would."""
        with closing(sqlite3.connect(self.layout.database, timeout=10)) as connection, connection:
            return connection.execute(sql, values).fetchall()

    def disturb(self) -> None:
        """Change, lose and tear records, as many as make every selection meaningful."""
        rng = self.rng
        mutate(self.layout.directory, rng.choice((0.05, 0.2)), rng.randrange(1 << 30))
        for table in rng.sample(("messages", "tasks", "sessions", "key_value_store", "checkpoints"), 2):
            key = KEYS[table]
            self.rows(f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} ORDER BY random() LIMIT 4)")
        if rng.random() < 0.3:
            referred = "SELECT from_agent FROM messages UNION SELECT agent_id FROM sessions"
            self.rows(f"DELETE FROM agents WHERE id IN (SELECT id FROM agents EXCEPT {referred})")
        quiet = [one for one in self.layout.projects.rglob("*.jsonl") if time.time() - one.stat().st_mtime > 30]
        for one in rng.sample(quiet, min(2, len(quiet))):
            lines = one.read_bytes().splitlines(keepends=True)
            how = rng.randrange(3)
            if how == 0:
                one.write_bytes(b"".join(lines[: rng.randrange(len(lines) + 1)]))
            elif how == 1:
                one.write_bytes(b"".join(lines) + b'{"type":"summary","summary":"more"}\n')
            else:
                lines[rng.randrange(len(lines))] = b'{"type":"summary","summary":"corrupted"}\n'
                one.write_bytes(b"".join(lines))

    def selection(self, name: str) -> Selection:
        """A random one that means something, of a checkpoint."""
        rng, kind = self.rng, self.rng.choice(KINDS)
        parts: dict[str, tuple[str, ...]] = {}
        chosen = rng.sample(KINDS[:6], 2) if kind == "mixed" else [kind]
        if "component" in chosen:
            parts["components"] = tuple(
                rng.sample(("agents", "tasks", "memory", "queue", "system"), rng.randrange(1, 4))
            )
        if "record" in chosen:
            patterns = ("tasks/tasks/*{}*", "queue/messages/*{}", "memory/sessions/*{}*", "agents/agents/*{}*")
            parts["records"] = tuple(one.format(rng.choice("0123456789")) for one in rng.sample(patterns, 2))
        if "search" in chosen:
            word = str(rng.choice(self.rows("SELECT message FROM messages ORDER BY random() LIMIT 5"))[0]).split()
            parts["searches"] = (rng.choice([one for one in word if one.isalpha() and len(one) > 3] or ["the"]),)
        if "agent" in chosen:
            found = self.rows("SELECT id FROM agents ORDER BY random() LIMIT ?", rng.randrange(1, 4))
            parts["agents"] = tuple(str(row[0]) for row in found)
        if "orchestration" in chosen:
            found = self.rows("SELECT id FROM orchestrations ORDER BY random() LIMIT 1")
            parts["orchestrations"] = tuple(str(row[0]) for row in found)
        if "field" in chosen:
            parts["fields"] = self.fields(name)
        merge = rng.choice(list(MergePolicy))
        exact = merge is MergePolicy.REPLACE and rng.random() < 0.3
        self.counts[f"kind {kind}"] += 1
        self.counts[f"merge {merge.value}{' exact' if exact else ''}"] += 1
        return Selection(**parts, exact=exact, with_dependencies=rng.random() < 0.5, merge=merge)  # type: ignore[arg-type]

    def fields(self, name: str) -> tuple[str, ...]:
        """Fields that the checkpoint and the live state have, and that differ in most cases."""
        with self.workspace.reading() as repository:
            then = stored(StoredState(repository, repository.resolve(name)))
        now, found = on_disk(self.layout), []
        for key, row in then.items():
            live = now.get(key)
            if live is None or same(live, row):
                continue
            path = f"{key[0]}/{key[1][0]}"
            if key[0] == "tasks/tasks":
                found.append(f"{path}:status")
                if row["result"] and live["result"]:
                    found.append(f"{path}:result.output")
            elif key[0] == "memory/sessions" and row["conversation_history"]:
                turns = json.loads(str(row["conversation_history"]))
                if turns and len(json.loads(str(live["conversation_history"] or "[]"))) >= len(turns):
                    found.append(f"{path}:conversation_history[{len(turns) - 1}].content")
            elif key[0].endswith("/key_value_store") and "text" in str(row["value"]) and "text" in str(live["value"]):
                found.append(f"{path}:value.text")
        return tuple(self.rng.sample(found, min(3, len(found)))) or (f"agents/agents/{self.agent(then, now)}:status",)

    def agent(self, then: State, now: State) -> object:
        """An agent that both have."""
        return self.rng.choice([key[1][0] for key in then if key[0] == "agents/agents" and key in now])

    def play(self) -> None:
        """One round in which something is applied and taken back."""
        for _ in range(ATTEMPTS_PER_ROUND):
            if self.rng.random() < 0.5:
                self.save()
            if self.rows("SELECT count(*) FROM agents")[0][0] < AGENTS_MIN:  # type: ignore[operator]
                recoveries.recover(self.workspace, self.saved[0], Selection(), None, "begin anew", 0, lambda step: None)
            self.disturb()
            name = self.rng.choice(self.saved)
            try:
                if self.attempt(name, self.selection(name)):
                    return
            except (ConflictError, NotFoundError) as error:
                # A reference would break, or nothing of that name is there: refused as a whole.
                self.counts[f"refused: {type(error).__name__}"] += 1
        raise AssertionError("nothing could be applied")

    def attempt(self, name: str, selection: Selection) -> bool:
        """Plan, move a record, see that it is caught, apply, compare, undo, compare."""
        plan = recoveries.plan(self.workspace, name, selection, 100_000, lambda step: None)
        if not plan.summary.total:
            return False
        self.catch(name, selection, plan)
        watch = Watch(self.layout)
        result = recoveries.recover(self.workspace, name, selection, None, "round", 100_000, watch)
        if not result.applied:
            return False
        assert result.verified or result.skipped, (selection, result.notes)
        assert watch.after is not None, "MAOS did not stand at the commit"
        before = self.compare(result.safety_checkpoint or "", name, selection, watch.after, result.plan)
        self.take_back(before, watch.after)
        self.counts["applied"] += 1
        self.counts["changes"] += result.plan.summary.total
        self.counts["kept"] += result.plan.kept
        self.counts["conflicts"] += result.plan.conflicts
        return True

    def catch(self, name: str, selection: Selection, plan: Plan) -> None:
        """Move one live record of the plan; the plan must not be applied."""
        wanted = [one for one in plan.changes if one.collection in KEYS and one.kind.value == "modified"]
        if not wanted:
            return
        one = self.rng.choice(wanted)
        key = "name" if one.collection == "checkpoints" else KEYS[one.collection]
        column = {
            "agents": "metadata",
            "sessions": "task",
            "tasks": "description",
            "messages": "message",
            "checkpoints": "description",
            "orchestrations": "summary",
            "key_value_store": "updated_at",
        }[one.collection]
        named = one.key[1:-1].replace("''", "'") if one.key.startswith("'") else one.key
        moved = self.rows(
            f"UPDATE {one.collection} SET {column} = coalesce({column}, '') || ' ' WHERE {key} = ? RETURNING 1", named
        )
        if not moved:
            return
        before = self.workspace.journal.newest_first()
        last = next((entry for entry in before if entry[0] == "RecoveryCompleted"), None)
        try:
            recoveries.recover(self.workspace, name, selection, plan.digest, "moved", 10, lambda step: None)
        except (PlanMovedError, NotFoundError):
            self.counts["moved and caught"] += 1
        else:
            raise AssertionError(f"{one} moved since the plan, and the plan was applied")
        now = next((entry for entry in self.workspace.journal.newest_first() if entry[0] == "RecoveryCompleted"), None)
        assert now == last

    def compare(self, safety: str, name: str, selection: Selection, after: State, plan: Plan) -> State:
        """The state at the commit against the plan and the oracle; returns the state before."""
        with self.workspace.reading() as repository:
            last = journal.last_done(repository)
            assert last is not None
            live = StoredState(repository, repository.resolve(safety), "live")
            target = StoredState(repository, repository.resolve(name))
            planner = Planner(live, target, selection)
            complete(planner)
            before, then = stored(live), stored(target)
            _equal(after, predicted(before, planner), "the plan", selection)
            oracle = Oracle(before, then, selection, _keys(planner.extra), _keys(planner.spared))
            _equal(after, oracle.expected(), "the oracle", selection, as_json=bool(selection.fields))
            # Every record that was added was missing, and says why it came.
            reasons = {f"{one.component}/{one.collection}": one.reason for one in plan.changes if one.reason}
            for path, key in planner.reasons:
                assert (path, decode_key(key)) not in before or path == "memory/transcripts"
                self.counts["added for others"] += 1
            assert bool(reasons) >= bool(planner.reasons), "added without a reason"
            return before

    def take_back(self, before: State, after: State) -> None:
        """Undo: what the recovery changed is as before, what it did not change is not touched."""
        watch = Watch(self.layout)
        undone = recoveries.undo(self.workspace, None, "round", 10, watch)
        with self.workspace.reading() as repository:
            last = journal.last_done(repository)
            assert last is not None
            if not undone.applied:
                return
            moment = stored(StoredState(repository, repository.resolve(last.safety)))
        assert undone.verified or undone.skipped, undone.notes
        assert watch.after is not None
        changed = {key for key in {*before, *after} if not same(before.get(key), after.get(key))}
        fields = {one.rpartition(":")[0] for one in last.selection.fields}
        for key in changed:
            # MAOS may have gone on with a record of which only a field was put back: it keeps what it wrote.
            moved = not same(moment.get(key), after.get(key)) and f"{key[0]}/{key[1][0]}" in fields
            if key[0] == "agents/agents" and key not in before and key in watch.after:
                # It came for others; since then MAOS has come to refer to it elsewhere, so it stays.
                assert any(one.kind == "spared" for one in undone.plan.findings)
                assert any(key[1][0] in str(row) for at, row in watch.after.items() if at != key)
                self.counts["spared by an undo"] += 1
            elif not moved:
                assert same(watch.after.get(key), before.get(key)), ("undo", key, last.selection)
        if last.pins is not None:
            for key in {*moment, *watch.after} - changed:
                assert same(watch.after.get(key), moment.get(key)), ("undo touched", key)
        self.counts["undone"] += 1


def _keys(keys: frozenset[tuple[str, bytes]]) -> set[Key]:
    return {(path, decode_key(key)) for path, key in keys}


def _equal(found: State, wanted: State, by: str, selection: Selection, *, as_json: bool = False) -> None:
    wrong = [key for key in {*found, *wanted} if not same(found.get(key), wanted.get(key), as_json=as_json)]
    assert not wrong, (by, len(wrong), wrong[0], found.get(wrong[0]), wanted.get(wrong[0]), selection)


def run(folder: Path, rounds: int, seed: int) -> collections.Counter[str]:
    """Play; raises AssertionError for the first round that does not come out as it should."""
    game = Rounds(folder, seed)
    with LiveMaos(game.layout.directory, game.layout.claude_home, rate_per_s=60, concurrency=4, seed=seed) as maos:
        game.save()
        for number in range(rounds):
            try:
                game.play()
            except AssertionError as error:
                raise AssertionError(f"round {number} of seed {seed}: {error}") from error
        report = maos.stop()
    game.counts["writes of MAOS"] = int(str(report["writes"]))
    return game.counts


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="selections-") as folder:
        counts = run(Path(folder), arguments.rounds, arguments.seed)
    for name, number in sorted(counts.items()):
        sys.stdout.write(f"{name}: {number:,}\n")
    sys.stdout.write(f"{time.monotonic() - began_s:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
