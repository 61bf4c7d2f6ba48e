"""What the console says: health, ages, sizes, marks, growth, progress, journal sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maos_ckpt.errors import SourceError
from maos_ckpt.events import EVENT_TYPES
from maos_ckpt.model import CheckpointState, Progress
from maos_ckpt.model.alerts import Alert, AlertState
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_view import bar_cells, change_words, fit_words, growth, marks, matches
from maos_ckpt_tui.progress import ProgressMeter
from maos_ckpt_tui.recovery import undo_words
from maos_ckpt_tui.sentences import sentence
from maos_ckpt_tui.viewmodel import (
    ConsoleModel,
    alert_trouble,
    health,
    next_run,
    next_try,
    remote_trouble,
    remote_words,
)
from tests.console.fixtures import AWAY, NOW_MS, make_checkpoints, make_tiers
from tests.console.frozen_client import FrozenClient


def model_of(client: FrozenClient) -> ConsoleModel:
    model = ConsoleModel(status=client.status())
    model.take_checkpoints(client.checkpoints())
    return model


def word(client: FrozenClient, now_ms: int = NOW_MS) -> str:
    return health(model_of(client), now_ms).word


def test_health_tells_the_worst_news_first() -> None:
    client = FrozenClient()
    assert word(client) == "SAFE"
    assert word(client, NOW_MS + 70_000) == "SAFE"
    assert word(client, NOW_MS + 80_000) == "STALE"
    assert word(FrozenClient(0)) == "STARTING"
    failing = FrozenClient(error=SourceError("maos.db is locked."))
    assert word(failing) == "FAILING"
    assert health(model_of(failing), NOW_MS).trouble == "maos.db is locked."
    client.listed[0] = replace(client.listed[0], state=CheckpointState.DAMAGED)
    assert word(client) == "DAMAGED"
    model = model_of(client)
    model.status = replace(client.status(), unfinished_recovery="interrupted at step 2")
    assert health(model, NOW_MS).word == "RECOVERY UNFINISHED"
    model.problem = SourceError("gone")
    assert health(model, NOW_MS).word == "NO ANSWER"
    assert health(ConsoleModel(), NOW_MS).word == "LOADING"


def test_an_old_error_before_a_success_is_no_failure() -> None:
    client = FrozenClient()
    model = ConsoleModel(status=replace(client.status(), last_error="locked", last_error_at_ms=NOW_MS - 60_000))
    assert health(model, NOW_MS).word == "SAFE"


def test_a_remote_copy_that_is_away_is_told_with_what_waits_and_since_when() -> None:
    client = FrozenClient()
    client.tiers = make_tiers(**AWAY)
    now = remote_trouble(client.status(), NOW_MS)
    assert now is not None
    assert (now.sign, now.word, now.tone) == ("!!", "S3 IS AWAY", "warn")
    assert now.sentence == "since 3 min, 7 checkpoints (1.2 MiB) wait here"
    assert "cannot be reached" in now.trouble
    # The live state is safe all the same: saves go on.
    assert word(client) == "SAFE"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("refused", "XX S3 REFUSES"),
        ("foreign", "XX S3 HOLDS ANOTHER REPOSITORY"),
        ("held elsewhere", "!! S3 IS WRITTEN TO BY ANOTHER MACHINE"),
    ],
)
def test_every_trouble_with_the_remote_copy_has_sign_and_word(state: str, words: str) -> None:
    client = FrozenClient()
    client.tiers = make_tiers(state=state, since_ms=NOW_MS - 5_000)
    now = remote_trouble(client.status(), NOW_MS)
    assert now is not None
    assert f"{now.sign} {now.word}" == words
    assert now.sentence == "since 5 s, nothing waits"


def test_a_save_that_is_on_its_way_is_no_trouble_until_it_takes_long() -> None:
    client = FrozenClient()
    client.tiers = make_tiers(state="behind", pending=1, pending_bytes=900, oldest_pending_at_ms=NOW_MS - 60_000)
    assert remote_trouble(client.status(), NOW_MS) is None
    assert remote_words(client.status()) == "1 on the way to s3"
    now = remote_trouble(client.status(), NOW_MS + 1000)
    assert now is not None
    assert (now.word, now.sentence) == ("S3 IS BEHIND", "since 1 min, 1 checkpoint (900 B) waits here")
    client.tiers = make_tiers()
    assert (remote_trouble(client.status(), NOW_MS), remote_words(client.status())) == (None, "s3 has all")
    client.tiers = make_tiers()[:1]
    assert (remote_trouble(client.status(), NOW_MS), remote_words(client.status())) == (None, "")


def test_replication_is_told_in_sentences() -> None:
    ids = [one.id for one in make_checkpoints(3)]
    sent = {"checkpoints": ids, "bytes_sent": 1_260_000}
    assert sentence("CheckpointsReplicated", sent) == ("dim", "S3 has 3 checkpoints now: 1.2 MiB sent")
    assert sentence("CheckpointsReplicated", sent | {"checkpoints": ids[:1]})[1].startswith(f"S3 has {ids[0][-6:]} now")
    stalled = {"kind": "storage", "message": "The store cannot be reached."}
    assert sentence("ReplicationStalled", stalled)[1] == (
        "!! S3 gets nothing for now, saves go on: The store cannot be reached."
    )
    assert sentence("ReplicationStalled", stalled | {"kind": "permission"})[1].startswith("XX S3 refuses, saves go on")


def test_the_countdown_is_in_words() -> None:
    status = FrozenClient().status()
    assert next_run(status, NOW_MS) == "next in 18 s"
    assert next_run(status, NOW_MS + 18_000) == "next is due now"
    assert next_run(replace(status, next_run_at_ms=None), NOW_MS) == "no save is scheduled here"
    observer = replace(status, next_run_at_ms=None, role="observer", owner="pid 12 on alpha")
    assert next_run(observer, NOW_MS) == "saves are made by pid 12 on alpha"


def test_an_engine_that_did_not_start_says_when_it_is_tried_again() -> None:
    model = ConsoleModel(problem=SourceError("gone", hint="Bring it back."), start_again_ms=NOW_MS + 3_500)
    now = health(model, NOW_MS)
    assert (now.word, now.trouble) == ("NOT STARTED", "gone Bring it back.")
    assert next_try(model, NOW_MS) == "trying again in 4 s"
    assert next_try(model, NOW_MS + 9_000) == "trying again now"
    model.start_again_ms = None
    assert next_try(model, NOW_MS) == "asking again every few seconds"
    model.problem = None
    assert next_try(model, NOW_MS) == ""


def test_an_undo_whose_journal_entry_is_gone_is_told_in_general_words() -> None:
    fields: dict[str, object] = {"at_ms": NOW_MS, "checkpoint": "cp_old", "safety_checkpoint": "cp_safe", "undo": True}
    journal = [("RecoveryCompleted", fields)]
    assert undo_words("cp_other", journal, NOW_MS).startswith("take the last recovery back")
    assert undo_words("cp_safe", journal, NOW_MS) == "undo the undo of 09:14:42"
    fields["checkpoint"] = "cp_safe"  # A journal that goes in a circle.
    assert undo_words("cp_safe", journal, NOW_MS).startswith("undo the undo of 09:14:42")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (12, "12s"), (60, "1m"), (7500, "2h05"), (86_400 * 4, "4d"), (-5, "0s")]
)
def test_ages_show_seconds_below_a_minute(seconds: float, text: str) -> None:
    assert fmt.span(seconds) == text
    assert len(text) <= 5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.004, "4 ms"),
        (0.21, "0.21 s"),
        (5.0, "5 s"),
        (59.9, "1 min"),
        (64, "1 min 4 s"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert fmt.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (14_890_000, "14.2 MiB"),
        (1023 * 1024, "1023 KiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_sizes_fit_their_column(number: int, text: str) -> None:
    assert fmt.size(number) == text
    assert len(text) <= 8


def test_times_are_absolute_utc_and_survive_nonsense() -> None:
    assert fmt.utc(NOW_MS) == "2026-11-23 09:14:42 UTC"
    assert fmt.utc(10**30) == "1970-01-01 00:00:00 UTC"
    assert fmt.ago(NOW_MS + 5000, NOW_MS) == "just now"
    assert fmt.when(NOW_MS - 86_400_000, NOW_MS) == "11-22 09:14"


def test_marks_keep_small_saves_visible_beside_the_first_one() -> None:
    checkpoints = make_checkpoints(30)
    heights = [one.height for one in marks(checkpoints, sizes=False)]
    assert max(heights) == heights[-1] == 1.0
    assert min(heights) > 0
    assert all("".join(bar_cells(one, 3)).strip() for one in heights)
    assert bar_cells(1.0, 3) == ["█"] * 3
    assert bar_cells(0.0, 2) == [" ", " "]


def test_what_changed_is_told_by_component() -> None:
    checkpoints = make_checkpoints(30)
    assert change_words(checkpoints[-1], None) == (["first"], "accent")
    assert change_words(checkpoints[0], None) == (["?"], "dim")
    quiet = next(one for one in checkpoints if one.capture.unchanged)
    assert change_words(quiet, None) == (["same"], "dim")
    newest, parent = checkpoints[0], checkpoints[1]
    words, tone = change_words(newest, parent)
    assert words == [one.name for one in growth(newest, parent) if one.depth == 0 and one.changed] != []
    assert tone == "accent"


def test_a_component_that_lost_records_is_told_first_and_as_a_warning() -> None:
    newest, parent = make_checkpoints(2)
    queue = next(one for one in newest.collections if one.component == "queue")
    others = tuple(one for one in newest.collections if one is not queue)
    emptied = replace(newest, collections=(*others, replace(queue, root=None, records=0)))
    words, tone = change_words(emptied, parent)
    before = next(one for one in parent.collections if one.component == "queue").records
    assert words[0] == f"queue-{before:,}"
    assert tone == "warn"


def test_a_long_list_of_words_is_cut_between_words() -> None:
    words = ["tasks", "memory", "queue", "system"]
    assert fit_words(words, 30) == "tasks memory queue system"
    assert fit_words(words, 18) == "tasks memory +2"
    assert fit_words(words, 2) == "+4"


def test_growth_counts_what_has_gone_as_well() -> None:
    newest, parent = make_checkpoints(2)
    shrunk = replace(newest, collections=newest.collections[:1])
    rows = growth(shrunk, parent)
    assert [one.name for one in rows] == ["agents"]
    assert growth(newest, None)[0].records_delta is None


def test_the_filter_wants_every_word() -> None:
    manual = next(one for one in make_checkpoints(30) if one.tags)
    assert matches(manual, "MANUAL release")
    assert matches(manual, manual.id[-6:])
    assert matches(manual, "2026-11-23 pin")
    assert not matches(manual, "manual nightly")


def test_progress_tells_rate_and_time_left_of_this_phase() -> None:
    meter = ProgressMeter()
    meter.update(Progress("save", "reading", 0, 1000), 10.0)
    assert (meter.rate(), meter.left()) == ("", "")
    meter.update(Progress("save", "reading", 250, 1000, 4 << 20), 12.0)
    assert meter.fraction == 0.25
    assert meter.rate() == "2.0 MiB/s"
    assert meter.left() == "6 s left"
    meter.update(Progress("save", "packing", 0, 10), 13.0)
    assert (meter.rate(), meter.left()) == ("", "")
    meter.update(Progress("save", "packing", 5, 0), 14.0)
    assert meter.fraction is None
    assert meter.rate() == "5/s"


def test_every_journal_entry_has_its_sentence_even_without_fields() -> None:
    for name in EVENT_TYPES:
        tone, text = sentence(name, {})
        assert text != name, f"{name} has no sentence of its own"
        assert tone
    assert sentence("SomethingNewer", {"x": 1}) == ("dim", "SomethingNewer")


def test_sentences_survive_fields_of_the_wrong_type() -> None:
    wrong: dict[str, object] = {
        key: [None] for key in ("at_ms", "checkpoint", "count", "reason", "duration_s", "bytes")
    }
    for name in EVENT_TYPES:
        assert sentence(name, wrong)[1]


def alert(name: str, severity: str = "critical", state: AlertState = AlertState.FIRING) -> Alert:
    return Alert(name, severity, state, "It is \x1b[31mfull.", NOW_MS - 90_000, f"{name}-1", "Make room.")


def test_an_alert_is_told_with_what_to_do_until_somebody_has_seen_it() -> None:
    client = FrozenClient()
    assert alert_trouble(client.status()) is None
    client.standing = (alert("disk-space"), alert("drill", "warning"))
    now = alert_trouble(client.status())
    assert now is not None
    assert (now.sign, now.word, now.tone) == ("XX", "ALERT disk-space", "bad")
    assert now.sentence == "It is \x1b[31mfull. A lists it, and 1 further alert."
    assert now.trouble == "To do: Make room."
    client.standing = (alert("drill", "warning"), alert("disk-space", state=AlertState.ACKNOWLEDGED))
    now = alert_trouble(client.status())
    assert now is not None
    assert (now.sign, now.word, now.trouble) == ("!!", "ALERT drill", "To do: Make room.")
    client.standing = (alert("disk-space", state=AlertState.SNOOZED),)
    assert alert_trouble(client.status()) is None
