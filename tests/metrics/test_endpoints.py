"""Metrics and alerts over the REST API of a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from maos_ckpt.alerts.book import AlertBook
from maos_ckpt.model.access import Scope
from maos_ckpt.model.alerts import AlertName
from maos_ckpt.seams import SYSTEM
from tests.api.house import House, house, workspace_at


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(workspace_at(Path(tmp_path_factory.mktemp("house")), 50_000)) as found:
        found.engine.save("one")
        yield found


def test_metrics_have_the_names_of_the_reference(served: House) -> None:
    with served.http() as http:
        body = http.get("/metrics", params={"hours": "3"}).raise_for_status().json()
        trends = http.get("/trends").raise_for_status().json()
    report = served.engine.metrics(3)
    assert body["totalCheckpoints"] == report.total_checkpoints >= 1
    assert body["successRate"] == 1.0
    assert body["averageSaveTime"] == report.average_save_time_s
    assert body["averageRecoveryTime"] is None
    assert body["storageUsage"] == report.storage_usage_bytes
    assert body["compressionRatio"] == report.compression_ratio
    assert body["errorRate"] == 0.0
    assert body["saveTime"]["p99Seconds"] > 0
    assert len(trends["saveTimeTrend"]) == len(trends["successRateOverTime"]) == 24
    assert trends["bucketSeconds"] == 3600
    assert trends["compressionRatioTrend"][-1]["count"] >= 1


@pytest.mark.parametrize("query", ["hours=0", "hours=169", "hours=x", "hours=1&hours=2", "hour=1", "hours="])
def test_a_wrong_window_is_a_problem(served: House, query: str) -> None:
    with served.http() as http:
        for path in ("/metrics", "/trends"):
            answer = http.get(f"{path}?{query}")
            assert answer.status_code == 422
            assert answer.headers["content-type"] == "application/problem+json"


def test_prometheus_reads_its_text_beside_the_api_and_only_with_a_token(served: House) -> None:
    root = served.url.partition("/api")[0]
    with served.http(served.token_for(Scope.READ)) as http:
        answer = http.get(f"{root}/metrics").raise_for_status()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "maos_ckpt_checkpoints_created_total" in answer.text
    assert str(served.directory) not in answer.text
    with served.http("") as http:
        assert http.get(f"{root}/metrics").status_code == 401


def test_an_alert_is_listed_and_acknowledged_by_who_may(served: House) -> None:
    book = AlertBook(served.workspace.journal.directory, SYSTEM)
    book.told(book.update({AlertName.DRILL: "Overdue."}, 0))
    with served.http(served.token_for(Scope.READ)) as http:
        (one,) = http.get("/alerts").raise_for_status().json()["alerts"]
        assert (one["name"], one["state"]) == ("drill", "firing")
        assert "maos-ckpt drill" in one["runbook"]
        assert http.post("/alerts/drill/acknowledge", json={}).status_code == 403
    with served.http(served.token_for(Scope.SAVE)) as http:
        seen = http.post("/alerts/drill/acknowledge", json={"snoozeSeconds": 60}).raise_for_status().json()
        assert (seen["state"], seen["until"] > one["since"]) == ("snoozed", True)
        seen = http.post("/alerts/drill/acknowledge", json={}).json()
        assert seen["state"] == "acknowledged"
        assert seen["by"].startswith("token ")
        assert http.post("/alerts/integrity/acknowledge", json={}).status_code == 404
        assert http.post("/alerts/..%2F..%2Fetc/acknowledge", json={}).status_code == 404
        assert http.post("/alerts/drill/acknowledge", json={"snoozeSeconds": -1}).status_code == 422
        assert http.post("/alerts/drill/acknowledge", json={"snooze": 1}).status_code == 422
