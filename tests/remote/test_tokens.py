"""Clients over TCP: TLS, tokens and what each of them allows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from maos_ckpt.api.address import parse_address
from maos_ckpt.api.places import find_listening
from maos_ckpt.api.remote import RemoteClient
from maos_ckpt.api.tokens import Tokens
from maos_ckpt.client import EngineClient
from maos_ckpt.config.types import Server
from maos_ckpt.errors import CkptError, PermissionRefusedError, UnavailableError
from maos_ckpt.events import CheckpointCreated
from maos_ckpt.model import Selection, VerifyLevel
from maos_ckpt.model.access import Scope
from maos_ckpt.seams import SYSTEM
from tests.api.conftest import make_certificate
from tests.engine.support import WAIT_S, Events, wait_until
from tests.remote.conftest import Served, make_workspace, served


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An engine that also listens at a TCP port, with TLS."""
    directory = tmp_path_factory.mktemp("secure")
    made = make_certificate(directory, "engine")
    settings = Server(listen=("127.0.0.1:0",), tls_certificate=str(made.certificate), tls_key=str(made.key))
    with pytest.MonkeyPatch.context() as patch, served(make_workspace(directory), settings) as one:
        patch.setenv("SSL_CERT_FILE", str(made.certificate))
        wait_until(lambda: bool(one.local.checkpoints()), "the first checkpoint")
        yield one


def over_tls(one: Served, token: str | None) -> RemoteClient:
    found = find_listening(one.workspace.repository)
    assert found is not None
    (address,) = [text for text in found.addresses if text.startswith("https:")]
    return RemoteClient(parse_address(address, Path("/")), token=token)


def new_token(one: Served, *scopes: Scope) -> tuple[str, str]:
    made = Tokens(one.workspace.repository, SYSTEM).create("test", scopes)
    return made.token.id, made.text


def attempts(client: EngineClient) -> dict[Scope, CkptError | None]:
    """One call for each right, and how it went."""
    calls = {
        Scope.READ: lambda: client.checkpoint("latest"),
        Scope.SAVE: lambda: client.verify(["latest"], VerifyLevel.QUICK),
        Scope.RECOVER: client.cancel_recovery,
        Scope.ADMIN: lambda: client.delete("cp_0000000000000"),
    }
    found: dict[Scope, CkptError | None] = {}
    for scope, call in calls.items():
        try:
            call()
            found[scope] = None
        except CkptError as error:
            found[scope] = error
    return found


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ((Scope.READ,), {Scope.READ}),
        ((Scope.SAVE,), {Scope.READ, Scope.SAVE}),
        ((Scope.RECOVER,), {Scope.READ, Scope.RECOVER}),
        ((Scope.ADMIN,), set(Scope)),
    ],
)
def test_a_token_allows_its_scopes_and_nothing_else(
    secure: Served, given: tuple[Scope, ...], allowed: set[Scope]
) -> None:
    before = secure.local.checkpoints()
    client = over_tls(secure, new_token(secure, *given)[1])
    client.start()
    refused = {scope for scope, error in attempts(client).items() if isinstance(error, PermissionRefusedError)}
    assert set(Scope) - refused == allowed
    secure.stopped.clear()
    if Scope.ADMIN in allowed:
        # It goes on for this test: only that it was asked is told.
        assert not client.stop_engine(0.1)
    else:
        with pytest.raises(PermissionRefusedError):
            client.stop_engine(0.1)
    assert bool(secure.stopped) == (Scope.ADMIN in allowed)
    client.close(WAIT_S)
    assert secure.local.checkpoints() == before


def test_no_token_and_a_wrong_one_are_refused_at_the_door_and_not_shown(secure: Served) -> None:
    text = new_token(secure, Scope.ADMIN)[1]
    for token in (None, "wrong-token-that-must-not-show", text[:-1], text.upper()):
        client = over_tls(secure, token)
        with pytest.raises(PermissionRefusedError) as caught:
            client.start()
        client.close(WAIT_S)
        told = repr((str(caught.value), vars(caught.value)))
        assert token is None or token not in told


def test_a_plan_and_a_recovery_go_over_tls_as_over_the_socket(secure: Served) -> None:
    client, events = over_tls(secure, new_token(secure, Scope.RECOVER, Scope.SAVE)[1]), Events()
    client.subscribe(events)
    client.start()
    point = client.save("over tls")
    wait_until(lambda: bool(events.of(CheckpointCreated)), "the event")
    assert client.plan(point.id, Selection()).summary.total == 0
    assert not client.recover(point.id, Selection(), digest=None, reason="").applied
    client.close(WAIT_S)


def test_a_token_that_is_revoked_counts_no_more_at_once(secure: Served) -> None:
    identity, text = new_token(secure, Scope.READ)
    client = over_tls(secure, text)
    client.start()
    client.status()
    Tokens(secure.workspace.repository, SYSTEM).revoke(identity)
    with pytest.raises(PermissionRefusedError):
        client.status()
    client.close(WAIT_S)


def test_plain_http_to_a_port_with_tls_is_no_engine(secure: Served) -> None:
    found = find_listening(secure.workspace.repository)
    assert found is not None
    (address,) = [text for text in found.addresses if text.startswith("https:")]
    client = RemoteClient(parse_address(address.replace("https:", "http:"), Path("/")), token="x")
    with pytest.raises(UnavailableError):
        client.start()
    client.close(WAIT_S)
