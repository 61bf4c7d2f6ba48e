"""What engine and worker say to each other arrives as it was sent, and nothing else is believed."""

from __future__ import annotations

import io

import msgspec
import pytest

from maos_ckpt import errors, wire
from maos_ckpt.config import Config
from maos_ckpt.errors import CkptError, PlanMovedError
from maos_ckpt.model import (
    Advice,
    AgentProcess,
    CaptureInfo,
    ChangeKind,
    Checkpoint,
    CheckpointState,
    Collection,
    CompactResult,
    Counts,
    DiffResult,
    FieldChange,
    Finding,
    FindResult,
    Incident,
    MaosProcess,
    Match,
    ObjectRepair,
    Plan,
    ProcessReport,
    Progress,
    PruneResult,
    Recommendation,
    RecordChange,
    RecoveryResult,
    ResumePoint,
    Selection,
    Severity,
    Sign,
    TierRead,
    Trigger,
    VerifyLevel,
    VerifyResult,
)
from maos_ckpt.model.contents import Exported, ExportedFile, History, RecordPage, ShownRecord, Version
from maos_ckpt.model.drills import Assertion, DrillReport, DrillStep, ScenarioResult
from maos_ckpt.operations.registry import OPERATIONS

CHANGE = RecordChange("tasks", "tasks", "a\x1b\ud7ff", ChangeKind.MODIFIED, (FieldChange("x[1]", None, "é"),))
FINDING = Finding(Severity.WARNING, "dangling", "m", "o", ("a", "b"))
PLAN = Plan(
    "cp_a", Selection(("tasks",), ("a/b/c*",), True), "d" * 64, Counts(1, 2, 3), {"tasks": Counts(1)}, (CHANGE,),
    True, (FINDING,), 5, 0.5, ("12 maos",),
)  # fmt: skip
CHECKPOINT = Checkpoint(
    "cp_a", 3, None, 1_800_000_000_000, "d", ("t",), True, Trigger.SAFETY, CheckpointState.DAMAGED, "maos:/x",
    (Collection("agents", "agents", b"\0" * 32, 3, 2**40), Collection("queue", "messages", None, 0, 0)),
    7, 0.25, CaptureInfo(0.1, 0.2, True, ("note",)), b"\xff" * 64, b"\1" * 32,
)  # fmt: skip
MATCH = Match("tasks", "tasks", "k", "description", "…x…", "cp_a", 1, "cp_b", 2, None, None, 2, True)
SIGN = Sign("failed", "tasks", "tasks", "failed", 3, 10, ("t-1",))
ADVICE = Advice("cp_a", 5, ("r",), ("w",), {"turns": 3}, 1.5)
AGENT = AgentProcess(8, "claude (pid 8)", None, "/x", 1_800_000_000_000, "5f0c", "a-1", "session")
MAOS = MaosProcess(
    7, "maos (pid 7)", 0, "/x", "/x/maos.db", "replaced", 1, True, {"active": 2}, (AGENT,), ("/x/log",), "why",
)  # fmt: skip
RESULTS = {
    "save": CHECKPOINT,
    "diff": DiffResult("a", "live", Counts(0, 1, 0), {"tasks": Counts(0, 1, 0)}, (CHANGE,), False),
    "plan": PLAN,
    "restore": RecoveryResult(PLAN, True, False, None, 1.5, 0.1, ("cd x",), ("n",)),
    "restore to": RecoveryResult(PLAN, True, True, None, 1.5, notes=("n",)),
    "undo plan": PLAN,
    "undo": RecoveryResult(PLAN, False, True, "cp_b", 0.0),
    "rescue plan": PLAN,
    "rescue": RecoveryResult(PLAN, True, True, "cp_b", 0.5),
    "resume point": ResumePoint("a-1", "5f0c", "", "cd x", Selection(records=("memory/transcripts/x/*",))),
    "ps": ProcessReport((MAOS,), (AGENT,), ("note",)),
    "verify": VerifyResult(VerifyLevel.FULL, False, 1, 2, 3, (FINDING,), 0.1),
    "repair": VerifyResult(VerifyLevel.QUICK, True, 1, 2, 3, (), 0.1),
    "scrub": VerifyResult(
        VerifyLevel.STANDARD,
        False,
        1,
        2,
        3,
        (FINDING,),
        0.1,
        tiers=(TierRead("s3", 2, 3),),
        unrepaired=(ObjectRepair("s3", "packs/00/00", "gone"),),
        last_good="cp_x",
    ),
    "drill": DrillReport(
        "dr_1",
        1,
        0.5,
        False,
        "cp_a",
        2,
        "ff" * 64,
        "maos:/x",
        "/r",
        "0" * 32,
        "a@b",
        "manual",
        "",
        {"Python": "3"},
        (
            ScenarioResult(
                "full-loss",
                True,
                False,
                "why",
                "fault",
                "cp_a",
                0.1,
                None,
                (DrillStep("a", 0.1),),
                (Assertion("n", False, "\x1b"),),
                (TierRead("s3", 2, 3),),
                ("note",),
            ),
        ),
        0.1,
        None,
        60.0,
        35.0,
        (TierRead("local", 1, 2),),
        "/r/drills/dr_1.md",
    ),
    "records": RecordPage("cp_a", (ShownRecord("tasks", "tasks", "\x1b", '{"n": 1}'),), "next"),
    "history": History((Version("cp_a", 1, "tasks", "tasks", "1", ChangeKind.MODIFIED, CHANGE.fields),), 2, ("cp_b",)),
    "export": Exported("cp_a", "/x", (ExportedFile("tasks/tasks.jsonl", "tasks", "tasks", 1, 2),)),
    "find": FindResult("x", (MATCH,), True, 3, 4, ("cp_a",)),
    "recommend": Recommendation(ADVICE, None, Incident("cp_a", "live", 1, 2, (SIGN,)), 3, False),
    "compact": CompactResult(3, 10, 5, True, 0.5),
    "prune": PruneResult(("cp_a",), {"cp_b": "pinned"}, 10, False),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operations_result_crosses_unchanged(name: str) -> None:
    frame = wire.ResultFrame(msgspec.Raw(wire.encode(RESULTS[name])))
    stream = io.BytesIO()
    wire.write_frame(stream, frame)
    stream.seek(0)
    body = wire.read_frame(stream)
    assert body is not None
    received = wire.decode_frame(body)
    assert isinstance(received, wire.ResultFrame)
    assert msgspec.msgpack.decode(received.result, type=OPERATIONS[name].result) == RESULTS[name]
    assert wire.read_frame(stream) is None


def test_a_request_crosses_with_its_configuration() -> None:
    place = wire.Place("/r", "maos:/x", "/c", Config(interval_seconds=1.5))
    request = wire.Request("save", place, msgspec.Raw(wire.encode({"trigger": "manual"})))
    received = wire.decode_request(wire.encode(request))
    assert received.place == place
    assert msgspec.msgpack.decode(received.arguments, type=OPERATIONS["save"].arguments).trigger is Trigger.MANUAL


@pytest.mark.parametrize("kind", wire.ERROR_KINDS)
def test_every_kind_of_error_crosses_with_all_it_says(kind: str) -> None:
    error = wire.ERROR_KINDS[kind]("message", kept="kept", hint="hint", count=3, names=["a"])
    frame = wire.decode_frame(wire.encode(wire.error_frame(error)))
    assert isinstance(frame, wire.ErrorFrame)
    received = wire.as_error(frame)
    assert type(received) is type(error)
    assert (received.message, received.kept, received.hint) == ("message", "kept", "hint")
    assert received.data == {"count": 3, "names": ["a"]}


def test_all_errors_of_the_project_are_in_the_registry() -> None:
    defined = {cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, CkptError)}
    assert set(wire.ERROR_KINDS) == {cls.kind for cls in defined}
    # One that shares a kind with its parent crosses as that parent.
    assert all(issubclass(cls, wire.ERROR_KINDS[cls.kind]) for cls in defined)
    assert PlanMovedError in defined


def test_facts_that_are_no_json_cross_as_text() -> None:
    error = CkptError("m", path=io.BytesIO)
    received = wire.as_error(wire.decode_frame(wire.encode(wire.error_frame(error))))  # type: ignore[arg-type]
    assert "BytesIO" in str(received.data["path"])


@pytest.mark.parametrize("data", [b"\0\0", b"\0\0\0\5abc", b"\xff\xff\xff\xff"], ids=["head", "body", "length"])
def test_a_broken_stream_is_an_error_and_no_wait(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.read_frame(io.BytesIO(data))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x80", wire.encode({"type": "command"}), wire.encode([1, 2])])
def test_a_frame_of_no_known_type_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.decode_frame(body)


def test_progress_crosses() -> None:
    progress = Progress("save", "read", 1, 2, 3, "d")
    frame = wire.decode_frame(wire.encode(wire.ProgressFrame(progress)))
    assert frame == wire.ProgressFrame(progress)
