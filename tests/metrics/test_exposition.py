"""What Prometheus reads, and that the dashboard and the alert rules name nothing else."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from maos_ckpt.metrics.exposition import exposition
from maos_ckpt.metrics.figures import Figures
from maos_ckpt.metrics.report import report
from maos_ckpt.model import Ratios, TierStatus
from maos_ckpt.model.alerts import SEVERITIES, Alert, AlertName, AlertState
from maos_ckpt.model.drills import DrillStatus
from maos_ckpt.model.metrics import Holding
from tests.console.fixtures import NOW_MS
from tests.console.frozen_client import FrozenClient
from tests.metrics.test_figures import NOW_MS as THEN_MS
from tests.metrics.test_figures import entries, folded

DEPLOY = Path(__file__).parents[2] / "engine" / "deploy"
#: Written by Prometheus itself.
ITS_OWN = {"up"}
NAME = re.compile(r"\bmaos_ckpt_[a-z0-9_]+\b")
LABEL = re.compile(r"\b([a-z_]+)\s*(?:=~|=|!=)\s*\"")


def everything() -> dict[str, Any]:
    """The samples of an engine that has had all that there is: name → list of (labels, value)."""
    client = FrozenClient()
    drill = DrillStatus("failed", 3600.0, NOW_MS, NOW_MS, 4.5, 1.0, ("wrong-key",), "/srv/secret-place/evidence")
    tiers = (TierStatus("local", "/srv/secret-place", "ok", 3, 9), TierStatus("s3", "s3://secret-place", "away", 1, 2))
    status = dataclasses.replace(client.status(), drill=drill, tiers=tiers)
    held = Holding(64, 5_000_000, Ratios(2.0, 3.0, 6.0), 2, 700, 12.5)
    made = report(folded(entries(7, 2000)), held, THEN_MS, 24)
    alert = Alert("drill", "warning", AlertState.FIRING, "secret-place", NOW_MS, "drill-1", "Hold one.")
    seen = dataclasses.replace(alert, name="integrity", state=AlertState.ACKNOWLEDGED)
    text = exposition(made, status, (alert, seen)).decode()
    assert "secret-place" not in text
    found: dict[str, Any] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation.endswith(".")
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    found["report"] = made
    return found


@pytest.fixture(scope="module")
def samples() -> dict[str, Any]:
    return everything()


def value(samples: dict[str, Any], name: str, **labels: str) -> float:
    (found,) = (value for given, value in samples["maos_ckpt_" + name] if given == labels)
    return float(found)


def test_what_is_told_is_what_the_report_says(samples: dict[str, Any]) -> None:
    made = samples["report"]
    assert value(samples, "checkpoints_created_total") == made.totals.checkpoints > 500
    assert value(samples, "operations_total", operation="save", outcome="done") == made.totals.done["save"]
    assert value(samples, "operations_total", operation="save", outcome="failed") == made.totals.failed["save"]
    assert value(samples, "save_duration_seconds_count") == made.totals.save_time.count
    assert value(samples, "save_duration_seconds_sum") == pytest.approx(made.totals.save_time.sum_s)
    assert value(samples, "window_success_ratio") == made.success_rate
    assert value(samples, "compression_ratio", part="whole") == 6.0
    assert value(samples, "spool_oldest_age_seconds") == 12.5
    assert value(samples, "tier_ok", tier="s3") == 0.0
    assert value(samples, "drill_failed_scenarios") == 1
    assert value(samples, "alert_firing", alert="drill", severity="warning") == 1
    assert value(samples, "alert_firing", alert="integrity", severity="critical") == 0
    assert len(samples["maos_ckpt_alert_firing"]) == len(AlertName) == len(SEVERITIES)


def test_a_histogram_grows_to_its_count(samples: dict[str, Any]) -> None:
    buckets = samples["maos_ckpt_save_duration_seconds_bucket"]
    counts = [count for _, count in buckets]
    assert counts == sorted(counts)
    assert buckets[-1][0] == {"le": "+Inf"}
    assert counts[-1] == value(samples, "save_duration_seconds_count")
    assert 0 < counts[0] < counts[-1]


def test_an_engine_that_has_done_nothing_is_told_without_what_is_not_known() -> None:
    status = dataclasses.replace(FrozenClient(0).status(), last_success=None)
    text = exposition(report(Figures(), Holding(), NOW_MS, 24), status, ()).decode()
    assert 'maos_ckpt_operations_total{operation="save",outcome="failed"} 0.0' in text
    assert "last_success" not in text
    assert "nan" not in text.lower().replace("tenant", "")


def expressions() -> list[str]:
    """All that the dashboard and the rules ask of Prometheus."""
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    found += [one["query"]["query"] for one in board["templating"]["list"] if isinstance(one["query"], dict)]
    rules = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text())
    return found + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def test_every_metric_and_label_that_dashboard_and_rules_name_exists(samples: dict[str, Any]) -> None:
    known = {
        name: {key for labels, _ in found for key in labels} for name, found in samples.items() if name != "report"
    }
    labels = set().union(*known.values()) | {"instance", "job"}
    asked = expressions()
    assert len(asked) > 25
    for expression in asked:
        names = set(NAME.findall(expression))
        assert names or ITS_OWN & set(re.findall(r"\w+", expression)), expression
        assert names <= set(known), expression
        assert set(LABEL.findall(expression)) <= labels, expression
        assert expression.count("(") == expression.count(")"), expression
        grouped = re.findall(r"by \(([^)]*)\)", expression)
        assert {one.strip() for group in grouped for one in group.split(",")} <= labels, expression


def test_every_rule_has_a_severity_a_summary_and_a_runbook_that_names_real_commands() -> None:
    from maos_ckpt.cli.options import COMMANDS

    rules = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith(".")
        for command in re.findall(r"`maos-ckpt (\w+)", rule["annotations"]["runbook"]):
            assert command in COMMANDS


def test_the_dashboard_is_one_that_grafana_can_lay_out() -> None:
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
