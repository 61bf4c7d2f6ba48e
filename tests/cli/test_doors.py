"""`--headless --listen` and `token`, as somebody types them."""

from __future__ import annotations

import json
import signal
import socket
import time

import httpx2

from maos_ckpt.api.places import socket_path
from tests.cli.conftest import TIMEOUT_S, Cli
from tests.cli.test_service import running

HEALTH = "/api/checkpoint/health"


def addresses(cli: Cli) -> list[str]:
    """Where the running engine listens."""
    deadline = time.monotonic() + TIMEOUT_S
    note = cli.repository / "api" / "listening.json"
    while not note.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    found: list[str] = json.loads(note.read_text())["addresses"]
    return found


def over_unix(cli: Cli) -> int:
    """The status of a request at the engine's own socket."""
    path = addresses(cli)[0].removeprefix("unix:")
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=path, verify=False)) as client:
        return client.get(f"http://localhost{HEALTH}").status_code


def test_a_token_opens_the_door_that_was_asked_for_until_it_is_revoked(cli: Cli) -> None:
    with running(
        cli, "--headless", "--interval", "3600", "--listen", "127.0.0.1:0", "--listen", "unix:x.sock"
    ) as engine:
        engine.wait_for("CheckpointCreated")
        own, tcp, other = addresses(cli)
        assert own == f"unix:{socket_path(cli.repository)}"
        assert other == f"unix:{cli.cwd}/x.sock"
        assert cli.ok("status", "--json").json["engine"]["listening"] == [own, tcp, other]
        made = cli.ok("token", "create", "--scope", "save", "--name", "probe", "--json").json
        assert made["scopes"] == ["save"]
        headers = {"authorization": f"Bearer {made['token']}"}
        assert httpx2.get(tcp + HEALTH, verify=False).status_code == 401
        assert httpx2.get(tcp + HEALTH, headers=headers, verify=False).status_code == 200
        listed = cli.ok("token", "list", "--json")
        assert [(one["id"], one["name"], one["expires_at"]) for one in listed.json["tokens"]] == [
            (made["id"], "probe", None)
        ]
        assert made["token"] not in listed.out
        assert cli.ok("token", "revoke", made["id"], "--json").json["revoked"] == made["id"]
        assert httpx2.get(tcp + HEALTH, headers=headers, verify=False).status_code == 401
        code, said = engine.stop()
        assert code == 0
        assert [line for line in said.splitlines() if "wrong token" not in line] == []
    assert not (cli.cwd / "x.sock").exists()
    short = cli.ok("token", "create", "--expires-days", "2", "--json").json
    assert short["expires_at"][:10] > short["created_at"][:10]
    assert "(in " in cli.ok("token", "list").out
    assert cli.run("token", "create", "--expires-days", "0").code == 2
    assert cli.run("token", "list", "--expires-days", "1").code == 2
    audit = cli.ok("audit", "--json")
    assert {"token create", "token revoke"} <= {one["verb"] for one in audit.json["entries"]}
    assert made["token"] not in audit.out


def test_an_engine_that_was_killed_leaves_a_socket_that_hinders_nobody(cli: Cli) -> None:
    with running(cli, "--headless", "--interval", "3600") as engine:
        engine.wait_for("CheckpointCreated")
        assert over_unix(cli) == 200
        engine.process.send_signal(signal.SIGKILL)
        engine.process.wait(TIMEOUT_S)
    left = socket_path(cli.repository)
    assert left.is_socket()
    (cli.repository / "api" / "listening.json").unlink()
    with running(cli, "--headless", "--interval", "3600") as engine:
        engine.wait_for("EngineStarted")
        assert over_unix(cli) == 200
        assert engine.stop()[0] == 0
    assert not left.exists()


def test_a_second_engine_leaves_the_doors_of_the_first_alone(cli: Cli) -> None:
    with running(cli, "--headless", "--interval", "3600", "--listen", "127.0.0.1:0") as engine:
        engine.wait_for("CheckpointCreated")
        tcp = addresses(cli)[1]
        port = tcp.rpartition(":")[2]
        for words in (["--headless"], ["--headless", "--listen", f"127.0.0.1:{port}"]):
            refused = cli.run(*words, "--json")
            assert (refused.code, refused.error["kind"]) == (4, "conflict")
        assert over_unix(cli) == 200
        assert httpx2.get(tcp + HEALTH, verify=False).status_code == 401
        assert engine.stop()[0] == 0


MISTAKES = (
    (2, "--headless --listen nonsense"),
    (6, "--headless --listen unix:/nowhere/at/all.sock"),
    (2, "--listen 127.0.0.1:0"),
    (3, "token create"),
    (2, "token revoke"),
    (2, "token list --scope read"),
)


def test_a_mistake_is_told_and_changes_nothing(cli: Cli) -> None:
    for code, words in MISTAKES:
        done = cli.run(*words.split(), "--json")
        assert (done.code, done.out) == (code, ""), words
        assert done.error["message"].endswith("."), words
        assert not cli.repository.exists(), words


def test_a_certificate_that_is_wrong_is_told_before_anything_is_started(cli: Cli) -> None:
    (cli.cwd / "maos-ckpt.toml").write_text('[server]\nlisten = ["127.0.0.1:0"]\ntls_certificate = "gone.pem"\n')
    refused = cli.run("--headless", "--json")
    assert (refused.code, refused.error["data"]["path"]) == (2, str(cli.cwd / "gone.pem"))
    assert not cli.repository.exists()


def test_requests_under_way_do_not_hold_up_the_end(cli: Cli) -> None:
    with running(cli, "--headless", "--interval", "3600") as engine:
        engine.wait_for("CheckpointCreated")
        path = addresses(cli)[0].removeprefix("unix:")
        with socket.socket(socket.AF_UNIX) as idle, socket.socket(socket.AF_UNIX) as half:
            idle.connect(path)
            half.connect(path)
            half.sendall(b"POST /api/checkpoint/checkpoints HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
            began = time.monotonic()
            assert engine.stop()[0] == 0
            assert time.monotonic() - began < 10
