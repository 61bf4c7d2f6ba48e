"""`maos-ckpt alerts`, `status` and `metrics`, in this process, on a system with an alert."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maos_ckpt import journal as journals
from maos_ckpt.alerts.book import AlertBook
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.main import main
from maos_ckpt.cli.options import COMMANDS, parser_for
from maos_ckpt.config import Config
from maos_ckpt.config.alerting import Hooks
from maos_ckpt.errors import UsageError
from maos_ckpt.hooks.courier import Courier
from maos_ckpt.model import Trigger
from maos_ckpt.model.alerts import AlertName
from maos_ckpt.operations import checkpoints
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from maos_ckpt_tui.__main__ import TextualConsole
from tests.alerts.receiver import receiver
from tests.lab.build import build_state

OK = {"ok": True, "failure": None}


class Told:
    """Runs commands in the system's directory."""

    def __init__(self, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        self.workspace = workspace
        self._capsys = capsys

    def text(self, *words: str, code: int = 0) -> str:
        """What a command says, on either stream."""
        place = ["--repo", str(self.workspace.repository), "--claude-home", str(self.workspace.claude_home)]
        found = main([*place, "--source", self.workspace.source, *words], TextualConsole())
        told = self._capsys.readouterr()
        assert found == code, told
        return told.out if code == 0 else told.err

    def json(self, *words: str, code: int = 0) -> Any:
        """The same as JSON."""
        return json.loads(self.text(*words, "--json", code=code))


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    team = tmp_path / "team"
    build_state(team, tmp_path / "claude", 50_000, seed=1, transcript_bytes=10_000)
    monkeypatch.chdir(team)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(Context, "configure_logging", lambda _: None)
    return Told(Workspace(team / ".maos-ckpt", f"maos:{team}", tmp_path / "claude", Config(), SYSTEM), capsys)


def save(told: Told) -> None:
    checkpoints.save(told.workspace, Trigger.MANUAL, "", (), lambda _: None)


def raise_alert(told: Told) -> None:
    save(told)
    book = AlertBook(told.workspace.journal.directory, SYSTEM)
    book.told(book.update({AlertName.DISK_SPACE: "It is nearly full: \x1b[31m."}, 0))


def test_alerts_are_listed_with_their_runbook_here_and_in_status(told: Told) -> None:
    raise_alert(told)
    for command in ("alerts", "status"):
        text = told.text(command)
        assert "CRITICAL" in text
        assert "disk-space, raised just now: It is nearly full" in text
        assert "maos-ckpt prune --keep-last N" in text
        assert "\x1b" not in text
    assert "no engine runs here" in told.text("alerts")
    (shape,) = told.json("alerts")["alerts"]
    assert (shape["name"], shape["state"], shape["until"], shape["by"]) == ("disk-space", "firing", None, None)
    assert told.json("status")["alerts"] == [shape]
    told.text("alerts", "ack", "disk-space")
    assert "\n  acknowledged by " in told.text("status")


def test_an_alert_is_snoozed_and_acknowledged_and_the_audit_log_says_by_whom(told: Told) -> None:
    raise_alert(told)
    snoozed = told.json("alerts", "snooze", "disk-space", "--for", "2h")["alert"]
    assert snoozed["state"] == "snoozed"
    assert snoozed["until"] > snoozed["since"]
    assert "@" in snoozed["by"]
    assert "acknowledged" in told.text("alerts", "ack", "disk-space")
    assert told.json("alerts")["alerts"][0]["state"] == "acknowledged"
    assert "alert acknowledge" in told.text("audit")
    assert "alert snooze" in told.text("audit")


def test_what_cannot_be_acknowledged_says_why_and_changes_nothing(told: Told) -> None:
    raise_alert(told)
    assert "no alert 'integrity'" in told.json("alerts", "ack", "integrity", code=3)["error"]["message"]
    assert "read-only" in told.text("--read-only", "alerts", "ack", "disk-space", code=7).lower()
    assert "Name the alert" in told.text("alerts", "ack", code=2)
    assert "30 days at most" in told.text("alerts", "snooze", "disk-space", "--for", "31d", code=2)
    assert told.json("alerts")["alerts"][0]["state"] == "firing"


@pytest.mark.parametrize("words", [["snooze", "x", "--for", "soon"], ["snooze", "x", "--for", "0s"], ["shout"]])
def test_a_wrong_word_is_a_usage_error(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parser_for(COMMANDS["alerts"]).parse(words)


def test_a_webhook_that_does_not_take_anything_is_told(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    raise_alert(told)
    monkeypatch.setenv("MAOS_CKPT_HOOKS_WEBHOOK_URL", "https://hooks.example/secret-token")
    journal = told.workspace.journal
    courier = Courier("webhook", journal, SYSTEM, ["AlertRaised"], lambda _: "hooks.example answered 500", 0.01)
    book = AlertBook(journal.directory, SYSTEM)
    courier.start()
    for event in book.update({AlertName.DRILL: "Overdue."}, 0):
        journal.append(event)
    while told.json("alerts")["hooks"]["webhook"]["failing_since"] is None:
        SYSTEM.clock.sleep(0.02)
    courier.close(5.0)
    assert told.json("alerts")["hooks"]["webhook"]["failure"] == "hooks.example answered 500"
    status = told.text("status")
    assert "nothing arrives since" in status
    assert "secret-token" not in status + told.text("config", "show") + told.text("alerts")


def test_hooks_are_tried_out_and_each_says_how_it_went(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No hook is configured" in told.text("alerts", "test", code=2)
    with receiver() as hook, receiver(then=500) as monitor:
        out = tmp_path / "heard"
        monkeypatch.setenv("MAOS_CKPT_HOOKS_WEBHOOK_URL", hook.url)
        monkeypatch.setenv("MAOS_CKPT_HOOKS_COMMAND", f"/bin/sh\n-c\ncat > {out}")
        assert told.json("alerts", "test") == {"webhook": OK, "command": OK}
        (came,) = hook.took()
        assert json.loads(came.body)["data"]["alert"] == json.loads(out.read_text())["data"]["alert"] == "test"
        monkeypatch.setenv("MAOS_CKPT_HOOKS_HEARTBEAT_URL", monitor.url)
        place = ["--source", told.workspace.source, "--repo", str(told.workspace.repository)]
        assert main([*place, "alerts", "test"], TextualConsole()) == 6
        assert monitor.took()[0].path.endswith("/start")
    assert not told.workspace.repository.exists()


def test_where_there_is_no_repository_no_alert_stands_and_there_are_no_metrics(told: Told) -> None:
    assert told.json("alerts") == {"alerts": [], "hooks": {}}
    assert told.json("metrics", code=3)["error"]["kind"] == "not_found"
    assert not told.workspace.repository.exists()


def test_metrics_are_told_as_figures_and_as_sparklines(told: Told) -> None:
    save(told)
    save(told)
    shape = told.json("metrics", "--hours", "2")
    assert (shape["hours"], shape["total_checkpoints"], shape["success_rate"], shape["error_rate"]) == (2, 2, 1.0, 0.0)
    assert shape["save_time"]["count"] == 2
    assert 0 < shape["save_time"]["p50_s"] <= shape["save_time"]["p99_s"]
    assert shape["compression_ratio"] == told.json("status")["ratios"]["whole"]
    assert shape["storage_usage"] == told.json("status")["tiers"][0]["stored_bytes"]
    trends = shape["trends"]
    assert len(trends["save_time_trend"]) == 2 * 3600 / trends["bucket_s"]
    assert sum(one["count"] for one in trends["success_rate_over_time"]) == 2
    text = told.text("metrics")
    assert "2 of 2 succeeded (100.00%)" in text
    assert "▄" in text or "█" in text
    assert "from 1 to 168 hours" in told.text("metrics", "--hours", "169", code=2)


def test_damaged_figures_of_older_files_do_not_stop_the_metrics(told: Told) -> None:
    save(told)
    (told.workspace.repository / journals.DIRECTORY / "figures.json").write_bytes(b"{")
    assert told.json("metrics")["saves"] == 1


def test_secrets_of_hooks_are_shown_only_as_being_set(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAOS_CKPT_HOOKS_WEBHOOK_URL", "https://hooks.example/secret-token")
    monkeypatch.setenv("MAOS_CKPT_HOOKS_HEARTBEAT_URL", "https://hc.example/secret-uuid")
    shown = told.text("config", "show")
    assert "secret-" not in shown
    monkeypatch.setenv("MAOS_CKPT_HOOKS_WEBHOOK_URL", "ftp://hooks.example/secret-token")
    refused = told.text("config", "show", code=2)
    assert "hooks.webhook_url must be http(s)://HOST" in refused
    assert "secret-token" not in refused
    assert Hooks().webhook_events == ("alertRaised", "alertCleared")
