"""How the engine's values look as JSON: one set of rules, and the schema tells the truth about every value."""

from __future__ import annotations

import dataclasses
import json
import threading

import msgspec
import pytest

from maos_ckpt.api import shapes  # noqa: F401 - tells the codec of special types
from maos_ckpt.api.codec import encode, form_of, shown
from maos_ckpt.api.event_shapes import EventShape, entry_identity, event_shape, identity, shape_of
from maos_ckpt.api.plans import KEPT_S, PLANS_MAX, PlanKind, Plans
from maos_ckpt.api.problems import HttpProblem, status_of
from maos_ckpt.api.runs import ENDED_MAX, ENDED_S_MAX, RUNS_MAX, Reply, Runs, RunState
from maos_ckpt.errors import CkptError, NotFoundError, UsageError
from maos_ckpt.events import EVENT_TYPES, DrillCompleted, EngineStopped, OperationProgressed, public_field
from maos_ckpt.journal import decode
from maos_ckpt.journal import encode as journal_line
from maos_ckpt.model import Counts, EngineStatus, FieldChange, Plan, Progress, RecoveryResult, Selection
from maos_ckpt.model.contents import ShownRecord
from maos_ckpt.model.drills import DrillHistory
from maos_ckpt.wire import ERROR_KINDS
from tests.engine.clocks import VirtualClock, seams_with
from tests.engine.support import wait_until


@pytest.mark.parametrize(
    ("name", "shown_name"),
    [
        ("created_at_ms", "createdAt"),
        ("at_ms", "at"),
        ("since_ms", "since"),
        ("duration_s", "durationSeconds"),
        ("rtos_s", "rtosSeconds"),
        ("stored_bytes", "storedBytes"),
        ("id", "id"),
    ],
)
def test_names_are_camel_case_and_units_are_told_in_full(name: str, shown_name: str) -> None:
    assert public_field(name) == shown_name


def test_times_are_rfc_3339_and_bytes_hexadecimal() -> None:
    assert shown(EngineStopped(1_700_000_000_123)) == {"at": "2023-11-14T22:13:20.123Z"}
    assert form_of(bytes).convert(b"\x00\xff") == "00ff"
    assert form_of(int | None).convert(None) is None


def test_a_side_without_a_value_has_no_member_and_null_is_a_value() -> None:
    assert json.loads(encode(shown(FieldChange("a", None, "1", None, "1")))) == {"path": "a", "after": 1}
    assert json.loads(encode(shown(FieldChange("a", "NULL", "x", "null", None)))) == {
        "path": "a",
        "before": None,
        "after": "x",
    }
    big = ShownRecord("a", "b", "c", '{"n": 123456789012345678901234567890}')
    assert b"123456789012345678901234567890" in encode(shown(big))


@pytest.mark.parametrize("kind", [EngineStatus, Plan, RecoveryResult, DrillHistory, *EVENT_TYPES.values()])
def test_a_schema_names_every_member_that_a_value_has(kind: type) -> None:
    form = form_of(kind)
    named = set(msgspec.json.schema(form.schema)["$defs"][kind.__name__]["properties"])
    assert {public_field(one.name) for one in dataclasses.fields(kind)} <= named


def test_a_value_agrees_with_its_schema() -> None:
    plan = Plan("cp", Selection(), "0" * 64, Counts(1, 2, 3), {"a": Counts()}, (), False, (), 5, 0.5)
    members = shown(plan)
    assert members["summary"] == {"added": 1, "modified": 2, "removed": 3, "total": 6}
    assert members["id"] == "pl_" + "0" * 15
    form = form_of(Plan)
    assert set(members) == set(msgspec.json.schema(form.schema)["$defs"]["Plan"]["properties"])
    msgspec.convert(json.loads(encode(members)), form.schema)


def test_what_has_no_form_is_refused_rather_than_guessed() -> None:
    with pytest.raises(TypeError, match="nothing says how"):
        form_of(set[int])


def test_an_event_has_the_same_id_from_the_engine_and_from_the_journal() -> None:
    event = DrillCompleted(5, "dr", "cp", True, ("a", "b"), (), 1.5, None, 2.0, "manual", "é\n", "me", "/x", "00")
    entry = decode(journal_line(event).rstrip(b"\n"))
    assert entry is not None
    assert entry_identity(entry) == identity(5, shape_of(event))
    assert event_shape(*entry) == shape_of(event)
    progress = shape_of(OperationProgressed(1, Progress("save", "read")))
    assert progress.members["progress"]["operation"] == "save"


def test_an_event_of_a_newer_version_is_told_by_its_own_names() -> None:
    found = event_shape("EngineStarted", {"at_ms": 0, "brand_new": 1})
    assert found == EventShape("engineStarted", "1970-01-01T00:00:00.000Z", {"brandNew": 1})


@pytest.mark.parametrize("kind", sorted(ERROR_KINDS))
def test_every_kind_of_error_has_a_status(kind: str) -> None:
    status = status_of(ERROR_KINDS[kind]("It failed."))
    assert 400 <= status < 600
    assert (status == 500) is (kind == CkptError.kind)


def reply() -> Reply:
    return Reply(status_of(NotFoundError("")), {}, b"{}")


def fail() -> Reply:
    raise UsageError("No.")


def test_a_key_belongs_to_who_used_it() -> None:
    runs = Runs()
    first, _ = runs.begin("save", "a", reply, key="k", fingerprint="f")
    assert runs.begin("save", "a", reply, key="k", fingerprint="f") == (first, True)
    assert runs.begin("save", "b", reply, key="k", fingerprint="other")[1] is False
    with pytest.raises(UsageError, match="another request"):
        runs.begin("save", "a", reply, key="k", fingerprint="other")


def test_runs_are_bounded_and_forgotten() -> None:
    clock = VirtualClock()
    runs = Runs(seams_with(clock))

    gate = threading.Event()

    def wait() -> Reply:
        gate.wait()
        return reply()

    held = [runs.begin("save", "a", wait)[0] for _ in range(RUNS_MAX)]
    with pytest.raises(HttpProblem) as refused:
        runs.begin("save", "a", reply)
    assert refused.value.headers["retry-after"]
    gate.set()
    wait_until(lambda: all(one.state is RunState.SUCCEEDED for one in held), "the runs")
    clock.sleep(ENDED_S_MAX + 1)
    kept, _ = runs.begin("save", "a", fail, key="k")
    wait_until(lambda: kept.state is RunState.FAILED, "the run")
    assert [one.id for one in runs.newest_first()] == [kept.id]
    assert runs.begin("save", "a", reply, key="k")[0] is not kept
    assert ENDED_MAX > RUNS_MAX


def test_plans_are_bounded_and_grow_old() -> None:
    clock = VirtualClock()
    plans = Plans(seams_with(clock))
    made = [
        Plan("cp", Selection(), f"{number:064x}", Counts(), {}, (), False, (), 0, 0.0)
        for number in range(PLANS_MAX + 1)
    ]
    for one in made:
        plans.keep(PlanKind.RECOVERY, "cp", Selection(), one)
    assert len(plans.newest_first()) == PLANS_MAX
    with pytest.raises(NotFoundError):
        plans.find(made[0].digest)
    # A beginning that several plans share names none of them.
    with pytest.raises(NotFoundError):
        plans.find("0" * 12)
    assert plans.find(made[-1].digest).plan == made[-1]
    clock.sleep(KEPT_S + 1)
    with pytest.raises(NotFoundError):
        plans.find(made[-1].digest)
