"""The webhook against a real server that fails, hangs, drips, redirects and comes back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import time
from pathlib import Path

import pytest

from maos_ckpt.config.alerting import Hooks
from maos_ckpt.events import AlertRaised, EngineStarted, OperationFailed, TicksMissed
from maos_ckpt.hooks import courier as couriers
from maos_ckpt.hooks.courier import way_of
from maos_ckpt.hooks.http import request
from maos_ckpt.hooks.webhook import signature
from maos_ckpt.journal import Entry, Journal
from maos_ckpt.seams import SYSTEM
from tests.alerts.conftest import ATTEMPT_S, SOURCE, Delivering
from tests.alerts.receiver import CLOSE, DRIP, GARBAGE, HANG, Came, receiver
from tests.engine.support import wait_until

KEY = bytes(range(40, 80))


def now_ms() -> int:
    return SYSTEM.clock.now_ms()


def raised(message: str = "It is full.") -> AlertRaised:
    return AlertRaised(now_ms(), "disk-space", "critical", message, "disk-space-1", "Make room.", False)


def names(came: list[Came]) -> list[str]:
    return [one.headers["webhook-id"] for one in came]


def counts(came: list[Came]) -> list[int]:
    return [json.loads(one.body)["data"]["count"] for one in came]


def test_an_event_arrives_signed_and_its_signature_covers_id_time_and_body(
    journal: Journal, delivering: Delivering, tmp_path: Path
) -> None:
    key_file = tmp_path / "key"
    key_file.write_bytes(KEY)
    key_file.chmod(0o600)
    with receiver() as server, delivering(Hooks(webhook_url=server.url, webhook_secret=f"file:{key_file}")):
        journal.append(raised())
        (one,) = server.wait_for(1)
    body = json.loads(one.body)
    assert (one.method, body["type"], body["source"]) == ("POST", "alertRaised", SOURCE)
    assert body["data"]["alert"] == "disk-space"
    assert body["data"]["runbook"] == "Make room."
    assert body["id"] == one.headers["webhook-id"]
    assert abs(int(one.headers["webhook-timestamp"]) - time.time()) < 60
    signed = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.".encode() + one.body
    wanted = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert one.headers["webhook-signature"] == f"v1,{wanted}"
    assert KEY not in one.body


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    secret = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    found = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("fault", [500, 503, 404, 429, 302, CLOSE, GARBAGE, HANG, DRIP])
def test_what_does_not_arrive_is_sent_again_under_the_same_id(
    journal: Journal, delivering: Delivering, fault: int
) -> None:
    with receiver(fault, fault) as server, delivering(Hooks(webhook_url=server.url)):
        journal.append(raised())
        came = server.wait_for(3)
        wait_until(lambda: way_of(journal.directory, "webhook").sent == 1, "the delivery to be noted")  # type: ignore[union-attr]
        time.sleep(0.1)
        assert len(server.took()) == 3
    assert len(set(names(came))) == 1
    assert {one.path for one in came} == {"/hook/token-that-is-secret"}


def test_a_server_that_hangs_or_drips_takes_no_longer_than_an_attempt_may() -> None:
    for fault in (HANG, DRIP):
        with receiver(then=fault) as server:
            began_s = time.monotonic()
            assert "did not answer within" in request("POST", server.url, b"{}", {}, ATTEMPT_S)
            assert time.monotonic() - began_s < ATTEMPT_S + 1.0
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # A handshake that nobody takes up.
        began_s = time.monotonic()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        assert "did not answer within" in request("POST", url, b"{}", {}, ATTEMPT_S)
        assert time.monotonic() - began_s < ATTEMPT_S + 1.0


def test_after_the_budget_one_event_is_given_up_and_the_next_get_one_try_each(
    journal: Journal, delivering: Delivering, caplog: pytest.LogCaptureFixture
) -> None:
    with receiver(then=500) as server, delivering(Hooks(webhook_url=server.url), budget_s=0.3):
        for number in range(5):
            journal.append(TicksMissed(now_ms(), number, "busy"))
        came = server.wait_until(lambda came: 4 in counts(came))
        tries = [counts(came).count(number) for number in range(5)]
        assert tries[0] > 2
        assert tries[1:] == [1, 1, 1, 1]
        wait_until(lambda: way_of(journal.directory, "webhook").given_up == 5, "all to be given up")  # type: ignore[union-attr]
        way = way_of(journal.directory, "webhook")
        assert way is not None
        assert way.failing_ms
        assert way.failure == "127.0.0.1 answered 500"
        server.then = 204
        journal.append(TicksMissed(now_ms(), 9, "busy"))
        server.wait_until(lambda came: 9 in counts(came))
        wait_until(lambda: way_of(journal.directory, "webhook").failing_ms == 0, "it to be well again")  # type: ignore[union-attr]
    assert "token-that-is-secret" not in caplog.text
    assert "was not told of TicksMissed" in caplog.text


def test_what_was_not_sent_is_sent_by_the_next_engine_and_what_was_is_not(
    journal: Journal, delivering: Delivering
) -> None:
    with receiver() as server:
        hooks = Hooks(webhook_url=server.url)
        with delivering(hooks):
            journal.append(TicksMissed(now_ms(), 1, ""))
            server.wait_for(1)
        for number in (2, 3, 4):
            journal.append(TicksMissed(now_ms(), number, ""))
        server.answers += [204, 500]
        with delivering(hooks):
            server.wait_until(lambda came: 4 in counts(came))
        with delivering(hooks):
            time.sleep(0.15)
        assert counts(server.took()) == [1, 2, 3, 3, 4]


def test_what_happened_before_a_hook_was_configured_and_what_is_long_ago_is_not_told(
    journal: Journal, delivering: Delivering
) -> None:
    journal.append(TicksMissed(now_ms(), 1, ""))
    with receiver() as server, delivering(Hooks(webhook_url=server.url)):
        journal.append(TicksMissed(now_ms() - 2 * 86_400_000, 2, ""))
        journal.append(TicksMissed(now_ms(), 3, ""))
        assert counts(server.wait_for(1)) == [3]


def test_a_hook_is_told_across_a_rotation_of_the_journal(
    journal: Journal, delivering: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maos_ckpt.journal.FILE_BYTES_MAX", 2000)
    with receiver() as server, delivering(Hooks(webhook_url=server.url)):
        for number in range(80):
            journal.append(TicksMissed(now_ms(), number, "x" * 40))
            if number % 10 == 0:
                server.wait_for(number // 2)
        assert counts(server.wait_for(80)) == list(range(80))


@pytest.mark.parametrize("secret", ["env:THERE_IS_NO_SUCH_VARIABLE", "file:/nonexistent/key"])
def test_nothing_is_sent_unsigned_where_the_secret_is_gone(
    journal: Journal, delivering: Delivering, secret: str
) -> None:
    with receiver() as server, delivering(Hooks(webhook_url=server.url, webhook_secret=secret), budget_s=0.1):
        journal.append(raised())
        wait_until(lambda: way_of(journal.directory, "webhook").given_up == 1, "it to be given up")  # type: ignore[union-attr]
        way = way_of(journal.directory, "webhook")
        assert way is not None
        assert "hooks.webhook_secret" in way.failure
        assert server.took() == []


def test_nobody_listens_and_no_such_host_are_told_without_the_url() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/secret-path?token=hush"
        told = request("POST", url, b"", {}, 2.0)
    assert told == "127.0.0.1 cannot be reached: Connection refused"
    assert request("POST", "http://127.0.0.1:99999/x", b"", {}, 2.0) == "its URL is none"


def test_plain_http_behind_https_is_refused_and_nothing_is_sent() -> None:
    with receiver() as server:
        told = request("POST", server.url.replace("http:", "https:"), b"secret", {}, 2.0)
        assert told.startswith("127.0.0.1 cannot be reached")
        assert all(b"secret" not in one.body for one in server.took())


def test_hostile_text_and_credentials_in_events_stay_data(journal: Journal, delivering: Delivering) -> None:
    with receiver() as server, delivering(Hooks(webhook_url=server.url)):
        journal.append(EngineStarted(now_ms(), "postgresql://me:hush@db/agents", 1.0))
        journal.append(OperationFailed(now_ms(), "save", "source", 'x\r\nInjected: yes\x1b[2J"}\u202e'))
        first, second = server.wait_for(2)
    assert b"hush" not in first.body
    assert second.body.isascii()
    assert "injected" not in second.headers
    assert json.loads(second.body)["data"]["message"] == 'x\r\nInjected: yes\x1b[2J"}\u202e'


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"inode":"x"}'])
def test_a_damaged_note_of_how_far_a_hook_is_begins_anew(
    journal: Journal, delivering: Delivering, content: bytes
) -> None:
    (journal.directory / "webhook.json").write_bytes(content)
    with receiver() as server, delivering(Hooks(webhook_url=server.url)):
        journal.append(TicksMissed(now_ms(), 3, ""))
        assert counts(server.wait_for(1)) == [3]
    assert couriers.way_of(journal.directory, "webhook") is not None


def test_an_error_that_nobody_foresaw_is_told_and_the_event_is_tried_again(
    journal: Journal, delivering: Delivering, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[str] = []

    def send(entry: Entry) -> str:
        tried.append(entry[0])
        if len(tried) == 1:
            raise ZeroDivisionError
        return ""

    with delivering(Hooks(), send=send):
        journal.append(raised())
        wait_until(lambda: len(tried) == 2, "the second try")
    assert tried == ["AlertRaised"] * 2
    assert "the webhook failed" in caplog.text
