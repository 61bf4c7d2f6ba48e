"""A journal, and couriers that do not wait as long as in earnest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maos_ckpt import journal as journals
from maos_ckpt.config.alerting import Hooks
from maos_ckpt.events import EVENT_TYPES
from maos_ckpt.hooks import courier as couriers
from maos_ckpt.hooks import heartbeat, webhook
from maos_ckpt.hooks.courier import Courier, Send
from maos_ckpt.journal import Journal
from maos_ckpt.seams import SYSTEM

SOURCE = "maos:/srv/agents"
ATTEMPT_S = 0.4


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    (tmp_path / journals.DIRECTORY).mkdir()
    return Journal(tmp_path, SYSTEM)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses and limits that a test can wait for."""
    monkeypatch.setattr(couriers, "LOOK_S", 0.02)
    monkeypatch.setattr(couriers, "PAUSE_S", 0.02)
    monkeypatch.setattr(heartbeat, "PAUSE_S", 0.02)
    monkeypatch.setattr(webhook, "ATTEMPT_S", ATTEMPT_S)
    monkeypatch.setattr(heartbeat, "ATTEMPT_S", ATTEMPT_S)


Delivering = Callable[..., contextlib.AbstractContextManager[Courier]]


@pytest.fixture
def delivering(journal: Journal) -> Delivering:
    """A courier at work."""

    @contextlib.contextmanager
    def work(hooks: Hooks, *, budget_s: float = 5.0, send: Send | None = None) -> Iterator[Courier]:
        def post(entry: journals.Entry) -> str:
            return webhook.send(hooks, SOURCE, SYSTEM.clock, entry)

        courier = Courier("webhook", journal, SYSTEM, EVENT_TYPES, send or post, budget_s)
        courier.start()
        try:
            yield courier
        finally:
            assert courier.close(5.0)

    return work
