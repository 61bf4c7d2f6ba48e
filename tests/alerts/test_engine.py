"""A real engine that raises an alert, tells a real server and restarts; and the command line beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from starlette.testclient import TestClient

from maos_ckpt.alerts import book, rules
from maos_ckpt.api import checkpoint_api
from maos_ckpt.config.alerting import Alerts, Hooks
from maos_ckpt.engine import alarms
from maos_ckpt.environment import child_environment
from maos_ckpt.events import AlertCleared, AlertRaised, CheckpointCreated
from maos_ckpt.model.alerts import AlertState
from tests.alerts.receiver import HANG, Came, receiver
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
            with TestClient(checkpoint_api(client)) as api:
                health = api.get("/health").json()
            assert (health["status"], health["alerts"]) == ("degraded", ["disk-space"])
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


ENGINE = """
import sys, msgspec
from pathlib import Path
from maos_ckpt.config import Config
from maos_ckpt.engine import alarms
from maos_ckpt.local import LocalClient
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
alarms.FIRST_S = 0.0
repository, source, home, config = sys.argv[1:]
config = msgspec.json.decode(config, type=Config)
client = LocalClient(Workspace(Path(repository), source, Path(home), config, SYSTEM))
client.start()
sys.stdin.read()
"""


def test_an_alert_that_a_killed_engine_could_not_tell_is_told_by_the_next_one(configured: MakeWorkspace) -> None:
    """SIGKILL while the webhook hangs: the same event, id and incident arrive afterwards, and once."""
    with receiver(HANG) as server:
        hooks = Hooks(webhook_url=server.url)
        full = configured(interval_seconds=FAR_S, alerts=Alerts(disk_free_bytes=1 << 60), hooks=hooks)
        words = [str(full.repository), full.source, str(full.claude_home), msgspec.json.encode(full.config).decode()]
        command = [sys.executable, "-c", ENGINE, *words]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=child_environment()) as process:
            (first,) = server.wait_for(1)
            process.kill()
        with running(full) as (client, _):
            again = server.wait_for(2)[1]
            (alert,) = client.alerts()
            assert json.loads(again.body)["data"]["key"] == alert.key
        assert again.headers["webhook-id"] == first.headers["webhook-id"]
        assert again.body == first.body
        assert len(server.took()) == 2


def test_a_hook_that_a_reload_brings_is_told_of_what_comes_then(configured: MakeWorkspace) -> None:
    with receiver() as server:
        workspace = configured(interval_seconds=FAR_S)
        with running(workspace) as (client, events):
            events.wait_for(CheckpointCreated)
            hooks = Hooks(webhook_url=server.url, webhook_events=("checkpointCreated",))
            client.reconfigure(msgspec.structs.replace(workspace.config, hooks=hooks))
            saved = client.save()
            (came,) = server.wait_for(1)
            assert json.loads(came.body)["data"]["checkpoint"] == saved.id
