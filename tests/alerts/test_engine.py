"""A real engine that raises an alert, tells a real server and restarts; and the command line beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maos_ckpt.alerts import book, rules
from maos_ckpt.config.alerting import Alerts, Hooks
from maos_ckpt.engine import alarms
from maos_ckpt.events import AlertCleared, AlertRaised
from maos_ckpt.model.alerts import AlertState
from tests.alerts.receiver import Came, receiver
from tests.engine.conftest import MakeWorkspace
from tests.engine.conftest import configured as configured
from tests.engine.conftest import workspace as workspace
from tests.engine.support import running, wait_until

FAR_S = 3600.0


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "EVERY_S", 0.05)
    monkeypatch.setattr(alarms, "FIRST_S", 0.0)
    monkeypatch.setattr(book, "CLEAR_S", 0.5)
    monkeypatch.setattr(rules, "AGE_S_MIN", 0.1)
    monkeypatch.setattr("maos_ckpt.engine.service.POLL_S", 0.05)


def kinds(came: list[Came]) -> list[str]:
    return [json.loads(one.body)["type"] for one in came if one.method == "POST"]


def test_an_alert_is_raised_told_acknowledged_kept_over_a_restart_and_cleared(configured: MakeWorkspace) -> None:
    full = Alerts(disk_free_bytes=1 << 60)
    with receiver() as server:
        hooks = Hooks(webhook_url=server.url)
        nearly_full = configured(interval_seconds=FAR_S, alerts=full, hooks=hooks)
        with running(nearly_full) as (client, events):
            (raised,) = events.wait_for(AlertRaised)
            assert isinstance(raised, AlertRaised)
            (told,) = server.wait_for(1)
            assert json.loads(told.body)["data"]["key"] == raised.key
            wait_until(lambda: bool(client.status().alerts), "the alert in the status")
            seen = client.acknowledge("disk-space")
            assert seen.state is AlertState.ACKNOWLEDGED
            assert "@" in seen.by
        with running(nearly_full) as (client, events):
            (still,) = client.alerts()
            assert (still.key, still.state) == (raised.key, AlertState.ACKNOWLEDGED)
        roomy = configured(interval_seconds=FAR_S, hooks=hooks)
        with running(roomy) as (client, events):
            events.wait_for(AlertCleared)
            server.wait_for(2)
            wait_until(lambda: not client.alerts(), "the alert to be gone")
        assert kinds(server.took()) == ["alertRaised", "alertCleared"]


def test_events_by_name_go_to_the_webhook_and_saves_to_the_heartbeat(configured: MakeWorkspace) -> None:
    with receiver() as hook, receiver() as monitor:
        hooks = Hooks(
            webhook_url=hook.url,
            webhook_events=("checkpointCreated", "recoveryCompleted", "operationFailed"),
            heartbeat_url=monitor.url,
        )
        with running(configured(interval_seconds=FAR_S, hooks=hooks)) as (client, _):
            hook.wait_for(1)
            monitor.wait_until(lambda came: bool(came) and not came[-1].path.endswith("/start"))
            source = Path(client.status().source.removeprefix("maos:")) / "maos.db"
            source.rename(source.with_suffix(".away"))
            with pytest.raises(Exception, match="gone"):
                client.save()
            monitor.wait_until(lambda came: came[-1].path.endswith("/fail"))
            source.with_suffix(".away").rename(source)
            hook.wait_for(2)
        assert kinds(hook.took()) == ["checkpointCreated", "operationFailed"]
        # Each beginning is told before its outcome, unless the outcome came first.
        assert [one.path.rpartition("/")[2] for one in monitor.took()][-1] == "fail"


def test_no_alert_is_judged_by_an_observer(configured: MakeWorkspace) -> None:
    full = configured(interval_seconds=FAR_S, alerts=Alerts(disk_free_bytes=1 << 60))
    with running(configured(interval_seconds=FAR_S)) as (engine, _), running(full) as (observer, events):
        assert observer.status().role == "observer"
        observer.status()
        assert engine.alerts() == ()
        assert events.of(AlertRaised) == []
