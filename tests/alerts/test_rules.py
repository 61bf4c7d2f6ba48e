"""Which alerts stand, by facts and thresholds."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from maos_ckpt.alerts.rules import Facts, judge
from maos_ckpt.config import Config
from maos_ckpt.metrics.figures import Figures
from maos_ckpt.metrics.report import report
from maos_ckpt.model import TierStatus
from maos_ckpt.model.alerts import AlertName
from maos_ckpt.model.drills import DrillStatus
from maos_ckpt.model.metrics import Holding, Timings
from tests.console.fixtures import NOW_MS
from tests.console.frozen_client import FrozenClient

WELL = Facts(
    now_ms=NOW_MS,
    started_ms=NOW_MS - 3_600_000,
    status=FrozenClient().status(),
    hour=report(Figures(), Holding(), NOW_MS, 1),
    free_bytes=1 << 40,
)


def with_status(**changes: object) -> Facts:
    return dataclasses.replace(WELL, status=dataclasses.replace(WELL.status, **changes))  # type: ignore[arg-type]


def with_hour(**changes: object) -> Facts:
    return dataclasses.replace(WELL, hour=dataclasses.replace(WELL.hour, **changes))  # type: ignore[arg-type]


def aged(seconds: float) -> Facts:
    last = WELL.status.last_success
    assert last is not None
    return with_status(last_success=dataclasses.replace(last, created_at_ms=NOW_MS - round(seconds * 1000)))


def slow(p95_s: float, saves: int = 10) -> Facts:
    return with_hour(saves=saves, save_time=Timings(saves, 1.0, 1.0, p95_s, p95_s))


def failing(rate: float, errors: int) -> Facts:
    return with_hour(error_rate=rate, errors=errors)


def waiting(age_s: float | None) -> Facts:
    return with_hour(holding=Holding(spool_checkpoints=3, spool_oldest_age_s=age_s))


def found(facts: Facts, config: Config | None = None) -> list[str]:
    return [name.value for name in judge(facts, config or Config())]


def test_nothing_is_wrong_where_nothing_is_wrong() -> None:
    assert found(WELL) == []


TIER = TierStatus("s3", "s3://x", "ok", 1, 1, damaged=("packs/ab",))


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (aged(149), []),
        (aged(151), ["checkpoint-age"]),
        # A clock that was set back makes no checkpoint old.
        (aged(-1_000_000), []),
        (with_status(last_success=None), ["checkpoint-age"]),
        (dataclasses.replace(with_status(last_success=None), started_ms=NOW_MS - 100_000), []),
        (slow(5.0), []),
        (slow(5.1), ["save-time"]),
        (slow(50.0, saves=2), []),
        (failing(0.1, 50), []),
        (failing(0.11, 3), ["error-rate"]),
        (failing(1.0, 2), []),
        (waiting(None), []),
        (waiting(3600), []),
        (waiting(3601), ["spool-age"]),
        (dataclasses.replace(WELL, free_bytes=(1 << 30) - 1), ["disk-space"]),
        (dataclasses.replace(WELL, free_bytes=0), ["disk-space"]),
        (dataclasses.replace(WELL, free_bytes=None), []),
        (dataclasses.replace(WELL, damaged=1), ["integrity"]),
        (with_status(damaged_manifests=("manifests/1",)), ["integrity"]),
        (with_status(tiers=(TIER,)), ["integrity"]),
        (with_status(drill=DrillStatus("failed", 0.0, failed=("wrong-key",))), ["drill"]),
        (with_status(drill=DrillStatus("overdue", 3600.0)), ["drill"]),
        (with_status(drill=DrillStatus("never", 3600.0)), []),
    ],
)
def test_a_threshold_divides_what_is_told_from_what_is_not(facts: Facts, wanted: list[str]) -> None:
    assert found(facts) == wanted


def test_what_is_wrong_is_said_in_one_sentence_with_figures() -> None:
    messages = judge(dataclasses.replace(aged(7300), free_bytes=5 << 20, damaged=2), Config())
    assert messages == {
        AlertName.CHECKPOINT_AGE: "The last checkpoint was 2 h ago; one is due every 30 s.",
        AlertName.DISK_SPACE: "5 MiB are free on the repository's disk; 1,024 MiB should be.",
        AlertName.INTEGRITY: "Stored data is damaged: 2 checkpoints marked as damaged.",
    }


def test_thresholds_are_the_configurations() -> None:
    config = msgspec.convert(
        {
            "alerts": {
                "checkpoint_age_intervals": 2,
                "error_rate": 0.5,
                "spool_age_seconds": 10,
                "disk_free_bytes": 0,
                "off": ["integrity"],
            },
            "performance": {"max_save_time_ms": 100},
        },
        Config,
    )
    assert found(aged(61), config) == ["checkpoint-age"]
    assert found(failing(0.4, 9), config) == []
    assert found(waiting(11), config) == ["spool-age"]
    assert found(slow(0.2), config) == ["save-time"]
    assert found(dataclasses.replace(WELL, free_bytes=0, damaged=3), config) == []


def test_a_short_interval_does_not_make_a_moment_an_alert() -> None:
    config = msgspec.structs.replace(Config(), interval_seconds=0.1)
    assert found(aged(29), config) == []
    assert found(aged(31), config) == ["checkpoint-age"]
