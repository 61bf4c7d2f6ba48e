"""Every scenario is green where the system is protected, and red, with its reason, where that protection is gone."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import msgspec
import pytest

from maos_ckpt.drill import interruption, parts, stage, storage
from maos_ckpt.drill.run import UNTOUCHED
from maos_ckpt.model import Progress, Selection
from maos_ckpt.model.drills import STEP_HINTS, DrillScenario, ScenarioResult
from maos_ckpt.operations import state
from tests.drill.conftest import Protected, fingerprint, open_files


def failed(result: ScenarioResult) -> list[str]:
    return [one.name for one in result.assertions if not one.passed]


def packs(repository: Path) -> list[Path]:
    return [one for one in (repository / "packs").rglob("*") if one.is_file()]


def test_all_scenarios_are_green_and_nothing_live_is_written(protected: Protected) -> None:
    before = fingerprint(protected.team), fingerprint(protected.claude), fingerprint(protected.repository)
    bucket = protected.bucket()
    folders = (protected.team, protected.claude, protected.repository)
    # The saves of other tests keep the database open.
    opened = {path: False for folder in folders for path in open_files(folder)}
    steps: set[tuple[str, str]] = set()

    def look(step: Progress) -> None:
        if (step.phase, step.detail) not in steps:
            steps.add((step.phase, step.detail))
            for path, writing in (pair for folder in folders for pair in open_files(folder).items()):
                assert not writing or path.startswith(f"{protected.repository}/drills/")
                assert path in opened or path.startswith(f"{protected.repository}/")

    report = protected.drill(progress=look)
    assert len(steps) > 40
    assert [(one.scenario, failed(one), one.why) for one in report.scenarios if not one.passed] == []
    assert [one.scenario for one in report.scenarios] == [one.value for one in DrillScenario]
    assert report.passed
    # The journal tells of the drill, and `drills/` holds its report; everything else is as it was, to the inode.
    after = {
        name: mark
        for name, mark in fingerprint(protected.repository).items()
        if name.partition("/")[0] not in ("drills", "journal")
    }
    before_repository = {name: mark for name, mark in before[2].items() if name.partition("/")[0] != "journal"}
    assert after == before_repository
    assert (fingerprint(protected.team), fingerprint(protected.claude)) == before[:2]
    assert protected.bucket() == bucket
    assert {one.tier for one in report.reads} == {"local", "s3"}
    assert not [one for one in (protected.repository / "drills").iterdir() if one.is_dir()]
    assert report.rto_s is not None
    assert 0 < report.rto_s < report.rto_target_s
    assert state.last_failure(protected.workspace.journal) is None
    # Each step says what it stands for on the day.
    assert {step.name for one in report.scenarios for step in one.steps} <= STEP_HINTS.keys()


def test_full_loss_is_red_where_a_pack_of_the_checkpoint_is_gone(alone: Protected) -> None:
    packs(alone.repository)[0].unlink()
    result = alone.one(DrillScenario.FULL_LOSS)
    assert not result.passed
    assert failed(result) == ["the checkpoint can be recovered at all"]
    assert "missing" in result.why


def test_a_corrupted_component_is_red_where_the_recovery_takes_another_one(
    alone: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "Selection", lambda **_: Selection(components=("system",), exact=True))
    result = alone.one(DrillScenario.COMPONENT_CORRUPTED)
    assert not result.passed
    assert failed(result) == ["the plan sees the damage"]


def test_a_recovery_that_leaves_some_of_the_damage_is_red(alone: Protected, monkeypatch: pytest.MonkeyPatch) -> None:
    real = stage.recover

    def half(repository, source, request, progress, seams):  # type: ignore[no-untyped-def]
        selection = dataclasses.replace(request.selection, exact=False)
        some = dataclasses.replace(selection, components=(), records=("memory/transcripts/*",))
        return real(repository, source, dataclasses.replace(request, selection=some, digest=None), progress, seams)

    monkeypatch.setattr(stage, "recover", half)
    result = alone.one(DrillScenario.COMPONENT_CORRUPTED)
    assert not result.passed
    assert "planning again finds nothing to do" in failed(result)
    assert "everything else is as it was before the fault" in failed(result)


def test_a_mad_agent_is_red_where_its_recovery_costs_the_work_of_others(
    alone: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "Selection", lambda **_: Selection())
    result = alone.one(DrillScenario.MAD_AGENT)
    assert not result.passed
    assert failed(result) == ["everything else is as it was before the fault"]
    assert "queue/messages" in result.why


def test_a_damaged_repository_is_red_without_the_other_tier(protected: Protected) -> None:
    protected.empty_bucket("/packs/")
    result = protected.one(DrillScenario.DAMAGED_REPOSITORY)
    assert not result.passed
    assert failed(result) == ["every damaged object is mended from the other tier"]


def test_what_is_still_on_its_way_to_the_bucket_is_no_fault_of_the_repository(protected: Protected) -> None:
    (key,) = [one for one in protected.bucket() if "/manifests/" in one]
    protected.empty_bucket(key.rpartition("/")[2])
    result = protected.one(DrillScenario.DAMAGED_REPOSITORY)
    assert result.passed
    assert "still being replicated" in result.notes[0]


def test_s3_being_away_is_red_where_the_packs_lie_there_alone(protected: Protected) -> None:
    for one in packs(protected.repository):
        one.unlink()
    result = protected.one(DrillScenario.S3_AWAY)
    assert not result.passed
    assert failed(result) == ["no error at: plan the recovery"]
    # The bucket is all that is left of it, and enough as long as it answers.
    assert protected.one(DrillScenario.FULL_LOSS).passed


def test_a_lost_machine_is_red_where_the_bucket_lacks_packs(protected: Protected) -> None:
    protected.empty_bucket("/packs/")
    result = protected.one(DrillScenario.LOST_MACHINE)
    assert not result.passed
    assert result.why


def test_a_lost_machine_is_red_where_the_chosen_checkpoint_never_got_there(protected: Protected) -> None:
    protected.empty_bucket("/manifests/")
    result = protected.one(DrillScenario.LOST_MACHINE)
    assert failed(result) == ["the bucket holds the checkpoint"]


def test_a_lost_machine_is_red_where_the_bucket_lost_its_key_slots(protected: Protected) -> None:
    protected.empty_bucket("/keys/")
    result = protected.one(DrillScenario.LOST_MACHINE)
    assert failed(result) == ["no error at: make a home from the bucket"]


def test_where_the_configured_key_is_not_at_hand_the_report_says_what_was_not_tried(protected: Protected) -> None:
    protected.one(DrillScenario.LOST_MACHINE)
    config = msgspec.structs.replace(protected.workspace.config, encryption_key="env:NOT_SET_ANYWHERE")
    # A worker process has the master key, and not the variable that its engine took it from.
    protected.workspace = dataclasses.replace(protected.workspace, config=config)
    result = protected.one(DrillScenario.LOST_MACHINE)
    assert result.passed
    assert result.notes[0].endswith("key slots were not tried.")


def test_a_wrong_key_is_red_where_it_is_not_refused(protected: Protected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "unlock", lambda backend, identity, secret: (secret, None))
    result = protected.one(DrillScenario.WRONG_KEY)
    assert not result.passed
    assert failed(result) == ["a wrong key file is refused"]


def test_an_interrupted_recovery_is_red_without_its_journal(alone: Protected, monkeypatch: pytest.MonkeyPatch) -> None:
    real = interruption.finish_interrupted

    def forgetful(repository, source, seams):  # type: ignore[no-untyped-def]
        (repository.path / "recovery" / "intent.json").unlink()
        return real(repository, source, seams)

    monkeypatch.setattr(interruption, "finish_interrupted", forgetful)
    result = alone.one(DrillScenario.INTERRUPTED_RECOVERY)
    assert not result.passed
    assert "killed after its commit, it is finished" in failed(result)


def test_a_recovery_that_hangs_and_is_not_killed_in_time_is_red(
    alone: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interruption, "_VICTIM_S_MAX", 0.01)
    monkeypatch.setattr(interruption, "_LOOK_S", 0.001)
    result = alone.one(DrillScenario.INTERRUPTED_RECOVERY)
    assert failed(result) == ["a recovery was killed just before its commit"]
    assert result.why.endswith("it took longer than 0.01 s")


def test_an_error_in_the_middle_is_a_failed_assertion_and_leaves_nothing_behind(
    alone: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(place: Path) -> int:
        raise OSError(28, "No space left on device", str(place))

    monkeypatch.setattr("maos_ckpt.drill.scratch.shutil.copytree", lambda *a, **k: full(a[1]))
    result = alone.one(DrillScenario.FULL_LOSS)
    assert failed(result) == ["no error at: copy the rehearsal's system"]
    assert "No space left" in result.why


def test_flipped_bytes_never_reach_the_original(protected: Protected) -> None:
    before = {str(one): one.read_bytes() for one in packs(protected.repository)}
    assert protected.one(DrillScenario.DAMAGED_REPOSITORY).passed
    assert {str(one): one.read_bytes() for one in packs(protected.repository)} == before


def test_a_write_to_the_original_would_be_seen(alone: Protected, monkeypatch: pytest.MonkeyPatch) -> None:
    real = stage.Stage.begin_fault

    def careless(self, what: str) -> None:  # type: ignore[no-untyped-def]
        pack = packs(alone.repository)[0]
        shutil.copy(pack, pack.with_suffix(".copy"))
        pack.with_suffix(".copy").replace(pack)
        real(self, what)

    monkeypatch.setattr(stage.Stage, "begin_fault", careless)
    assert failed(alone.one(DrillScenario.FULL_LOSS)) == [UNTOUCHED]


def test_what_does_not_apply_says_why_and_does_not_pass(alone: Protected) -> None:
    report = alone.drill(*(one for one in DrillScenario if one.value not in ("mad-agent", "interrupted-recovery")))
    left_out = {one.scenario: one.why for one in report.scenarios if not one.applicable}
    assert set(left_out) == {"damaged-repository", "s3-away", "lost-machine", "wrong-key"}
    assert all(left_out.values())
    assert not any(one.passed for one in report.scenarios if not one.applicable)
    assert report.passed
    assert not alone.drill(DrillScenario.S3_AWAY).passed
