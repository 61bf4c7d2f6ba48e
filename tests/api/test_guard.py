"""Who is let in: everything is denied that is not allowed."""

from __future__ import annotations

import dataclasses
import os
import socket
import stat
from pathlib import Path

import httpx2
import msgspec
import pytest
from starlette.responses import Response

from maos_ckpt.api import application as application_module
from maos_ckpt.api.endpoint import Endpoint, Exchange
from maos_ckpt.api.guard import PEER, Guard, Peer
from maos_ckpt.api.listeners import Listener
from maos_ckpt.api.problems import HttpProblem
from maos_ckpt.api.rates import NAMES_MAX, Rates
from maos_ckpt.api.serving import Server
from maos_ckpt.api.tokens import FILE_NAME, Tokens
from maos_ckpt.errors import ConflictError, IntegrityError, NotFoundError, UsageError
from maos_ckpt.model.access import Scope, granted
from maos_ckpt.seams import SYSTEM
from tests.api.conftest import HEALTH, Served, problem
from tests.engine.clocks import VirtualClock

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")


def test_the_engines_user_is_let_in_at_the_unix_socket_without_a_token(served: Served) -> None:
    with served.over_unix() as client:
        answer = client.get(HEALTH)
    assert answer.status_code == 200
    assert answer.json()["role"] == "engine"


def test_the_unix_socket_and_its_directory_are_closed_to_others(served: Served) -> None:
    assert stat.S_IMODE(os.lstat(served.socket).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(served.socket.parent).st_mode) == 0o700


def test_another_user_is_refused_even_where_the_socket_let_it_connect(served: Served) -> None:
    scope = {PEER: Peer("unix", 12345), "headers": [(b"host", b"localhost")]}
    with pytest.raises(HttpProblem, match="12345") as refused:
        Guard(served.tokens, SYSTEM.clock).admit(scope)
    assert refused.value.status == 403


@pytest.mark.parametrize("path", [HEALTH, "/", "/api/checkpoint/nothing", "/metrics"])
@pytest.mark.parametrize("method", METHODS)
def test_nothing_at_all_is_answered_over_tcp_without_a_token(served: Served, method: str, path: str) -> None:
    with served.over_tcp() as client:
        answer = client.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_lets_in_until_it_is_revoked(served: Served) -> None:
    made = served.tokens.create("probe", (Scope.READ,))
    with served.over_tcp(made.text) as client:
        assert client.get(HEALTH).status_code == 200
        served.tokens.revoke(made.token.id)
        found = problem(client.get(HEALTH), 401)
    assert "not valid" in found["detail"]
    assert made.text not in str(found)


def test_a_token_with_an_end_is_refused_from_then_on(served: Served) -> None:
    clock = VirtualClock()
    guard = Guard(served.tokens, clock)
    made = served.tokens.create("short", (Scope.READ,), 3)
    scope = {
        PEER: Peer("10.1.1.2"),
        "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {made.text}".encode())],
    }
    end_ms = made.token.expires_at_ms
    assert end_ms is not None
    assert end_ms - made.token.created_at_ms == 3 * 86_400_000
    clock.sleep((end_ms - 1000 - clock.now_ms()) / 1000)
    assert guard.admit(scope).name == f"token {made.token.id} (short)"
    clock.sleep(1)
    with pytest.raises(HttpProblem, match="has expired") as refused:
        guard.admit(scope)
    assert refused.value.status == 401
    assert "invalid_token" in refused.value.headers["www-authenticate"]
    with pytest.raises(UsageError, match="good for 1 to"):
        served.tokens.create("for ever", (Scope.READ,), 100_000)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Basic dXNlcjpwYXNz",
        "Bearer mck_00000000_" + "A" * 43,
        "Bearer " + "x" * 20_000,
        "Bearer mck_\xff",
        "Bearer TOKEN TOKEN",
        "Bearer TOKENx",
        "Bearer TOKE",
        "TOKEN",
    ],
)
def test_what_is_no_token_is_refused(served: Served, header: str) -> None:
    header = header.replace("TOKEN", served.token(Scope.ADMIN)).replace("TOKE", served.token(Scope.ADMIN)[:-1])
    served.doors._guard._wrong = Rates(SYSTEM.clock, 1.0, 1000)
    with served.over_tcp() as client:
        problem(client.get(HEALTH, headers={"authorization": header.encode("latin-1")}), 401)


def test_two_authorizations_are_none(served: Served) -> None:
    shown = f"Bearer {served.token(Scope.ADMIN)}"
    with served.over_tcp() as client:
        problem(client.get(HEALTH, headers=[("authorization", shown), ("authorization", shown)]), 401)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "10.0.0.1", "", "[::2]"])
def test_a_foreign_host_is_refused_so_that_no_web_page_can_lead_a_browser_here(served: Served, host: str) -> None:
    with served.over_tcp(served.token(Scope.READ)) as client:
        problem(client.get(HEALTH, headers={"host": host}), 421)
    with served.over_unix() as client:
        problem(client.get(HEALTH, headers={"host": host}), 421)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8470", "[::1]:1", "ckpt.example", "ckpt.example.:443"]
)
def test_its_own_names_are_known(served: Served, host: str) -> None:
    with served.over_tcp(served.token(Scope.READ)) as client:
        assert client.get(HEALTH, headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_requests_from_web_pages_are_refused(served: Served, headers: dict[str, str]) -> None:
    with served.over_unix() as client:
        problem(client.get(HEALTH, headers=headers), 403)


def test_a_web_page_that_is_named_in_the_configuration_may_ask(served: Served) -> None:
    guard = Guard(served.tokens, SYSTEM.clock, origins=("https://Ops.example/",))
    headers = [(b"host", b"localhost"), (b"origin", b"https://ops.example"), (b"sec-fetch-site", b"cross-site")]
    assert guard.admit({PEER: Peer("unix", os.geteuid()), "headers": headers}).scopes == frozenset(Scope)


def test_each_scope_allows_what_it_says_and_reading(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle(exchange: Exchange) -> Response:
        return Response(exchange.caller.name)

    endpoints = tuple(Endpoint("POST", f"/{one}", one, handle, "a test's") for one in Scope)
    monkeypatch.setattr(application_module, "ENDPOINTS", endpoints)
    listener = Listener(socket.create_server(("127.0.0.1", 0)), "")
    guard = Guard(served.tokens, SYSTEM.clock)
    server = Server(application_module.application(served.client, guard=guard, prefix="/p"), [listener])
    host, port = listener.socket.getsockname()
    server.start()
    try:
        for given in Scope:
            token = served.token(given)
            headers = {"authorization": f"Bearer {token}"}
            with httpx2.Client(base_url=f"http://{host}:{port}/p/", headers=headers, verify=False) as client:
                answers = {wanted: client.post(wanted) for wanted in Scope}
            allowed = {wanted for wanted, answer in answers.items() if answer.status_code == 200}
            assert allowed == granted([given])
            for wanted in set(Scope) - allowed:
                assert problem(answers[wanted], 403)["data"]["scope"] == wanted
    finally:
        assert server.close()
    assert granted([Scope.ADMIN]) == set(Scope)
    assert granted([Scope.SAVE]) == {Scope.READ, Scope.SAVE}
    assert granted([]) == set()


def test_wrong_tokens_are_soon_not_looked_at_any_more(served: Served) -> None:
    clock = VirtualClock()
    guard = Guard(served.tokens, clock)
    right = served.token(Scope.READ)

    def ask(token: str) -> int:
        headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
        try:
            guard.admit({PEER: Peer("10.1.1.1"), "headers": headers})
        except HttpProblem as refused:
            return refused.status
        return 200

    answers = [ask("mck_wrong") for _ in range(30)]
    assert answers == [401] * 20 + [429] * 10
    assert ask(right) == 200, "nobody is kept out by others at the same address"
    clock.sleep(1.1)
    assert [ask("mck_wrong"), ask("mck_wrong")] == [401, 429]


def test_tokens_that_cannot_be_checked_let_nobody_in_and_tell_strangers_nothing(served: Served) -> None:
    path = served.workspace.repository / "api" / FILE_NAME
    token = served.token(Scope.READ)
    kept = path.read_bytes()
    path.write_bytes(kept[:-20])
    try:
        with served.over_tcp(token) as client:
            found = problem(client.get(HEALTH), 503)
        assert str(served.workspace.repository) not in str(found)
    finally:
        path.write_bytes(kept)
    with served.over_tcp(token) as client:
        assert client.get(HEALTH).status_code == 200


def test_an_ipv4_address_at_a_socket_for_both_is_known(served: Served) -> None:
    scope = {PEER: Peer("unix", os.geteuid()), "headers": [(b"host", b"10.0.0.5:1")], "server": ("::ffff:10.0.0.5", 1)}
    assert Guard(served.tokens, SYSTEM.clock).admit(scope).name.startswith("uid")


def test_a_token_may_not_ask_more_often_than_it_should(served: Served) -> None:
    clock = VirtualClock()
    guard = Guard(served.tokens, clock, requests_per_s=5)
    token = served.token(Scope.READ)
    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
    for _ in range(10):
        guard.admit({PEER: Peer("10.1.1.1"), "headers": headers})
    with pytest.raises(HttpProblem) as refused:
        guard.admit({PEER: Peer("10.1.1.1"), "headers": headers})
    assert refused.value.status == 429
    assert int(refused.value.headers["retry-after"]) == 1
    clock.sleep(0.2)
    guard.admit({PEER: Peer("10.1.1.1"), "headers": headers})


def test_the_memory_of_who_asked_is_bounded() -> None:
    rates = Rates(VirtualClock(), 1.0, 1.0)
    for number in range(NAMES_MAX + 500):
        rates.take(str(number))
    assert len(rates._buckets) == NAMES_MAX


def test_only_a_tokens_hash_is_stored_in_a_file_for_its_user_alone(served: Served) -> None:
    made = served.tokens.create("kept", (Scope.SAVE,))
    path = served.workspace.repository / "api" / FILE_NAME
    stored = path.read_text()
    assert made.text.rpartition("_")[2] not in stored
    assert made.token.sha256 in stored
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(made.text) == len("mck_") + 8 + 1 + 43


def test_tokens_are_found_by_a_unique_beginning_and_refused_by_a_damaged_file(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path, SYSTEM)
    first = tokens.create("a", ())
    assert first.token.scopes == (Scope.READ,)
    with pytest.raises(NotFoundError):
        tokens.revoke("zz")
    with pytest.raises(NotFoundError):
        tokens.revoke("")
    with pytest.raises(UsageError):
        tokens.create("n" * 101, ())
    assert tokens.revoke(first.token.id[:3]) == first.token
    assert tokens.all() == []
    made = tokens.create("b", ())
    (tmp_path / "api" / FILE_NAME).write_bytes(b'{"tokens":[{"id":1}]}')
    for call in (lambda: tokens.find(made.text), tokens.all, lambda: tokens.create("c", ())):
        with pytest.raises(IntegrityError, match="no token is accepted"):
            call()


def test_there_is_a_bound_on_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maos_ckpt.api.tokens.TOKENS_MAX", 2)
    tokens = Tokens(tmp_path, SYSTEM)
    tokens.create("a", ())
    tokens.create("b", ())
    with pytest.raises(ConflictError, match="no more"):
        tokens.create("c", ())
    tokens.revoke(tokens.all()[0].id)
    tokens.create("c", ())


def test_a_stored_token_is_not_what_its_hash_says(served: Served) -> None:
    made = served.tokens.create("x", (Scope.READ,))
    forged = dataclasses.replace(made, text=made.text[:-1] + ("A" if made.text[-1] != "A" else "B"))
    assert served.tokens.find(made.text) == made.token
    assert served.tokens.find(forged.text) is None
    assert msgspec.to_builtins(made.token)["sha256"] != made.text
