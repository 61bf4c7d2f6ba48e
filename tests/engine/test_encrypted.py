"""An engine on an encrypted repository: it unlocks once, and its key goes to its workers through the pipe alone."""

from __future__ import annotations

import msgspec
import pytest

from maos_ckpt import wire
from maos_ckpt.backends.base import Backend
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.secret import Secret
from maos_ckpt.codec.slots import Slot
from maos_ckpt.config import Config
from maos_ckpt.config.types import S3Storage, Storage
from maos_ckpt.environment import child_environment
from maos_ckpt.errors import PermissionRefusedError
from maos_ckpt.model import VerifyLevel
from maos_ckpt.operations import unlocking
from maos_ckpt.repository import keyring
from maos_ckpt.repository.header import read_header
from maos_ckpt.seams import SYSTEM
from tests.engine.conftest import MakeWorkspace
from tests.engine.support import names, running

WORDS = "correct horse battery"


def test_an_engine_saves_and_verifies_under_a_passphrase_that_its_workers_never_see(
    configured: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_WORDS", WORDS)
    workspace = configured(encryption_enabled=True, encryption_key="env:TEAM_WORDS")
    tried: list[str] = []

    def counted(backend: Backend, repository: str, secret: Secret) -> tuple[Secret, Slot]:
        tried.append(repository)
        return keyring.unlock(backend, repository, secret)

    monkeypatch.setattr(unlocking, "unlock", counted)
    with running(workspace) as (client, _):
        saved = client.save("one")
        assert WORDS not in str(child_environment())
        assert client.verify([], VerifyLevel.FULL).ok
        assert saved.id in names(client)
    # Making the repository gives its master key; nothing had to be unlocked after that.
    assert tried == []
    again = configured(encryption_enabled=True, encryption_key="env:TEAM_WORDS")
    with running(again) as (client, _):
        assert {client.save("two").id, client.save("three").id, saved.id} <= set(names(client))
    assert tried == [read_header(LocalBackend(again.repository, SYSTEM)).id]


def test_the_engine_does_not_start_without_the_key(configured: MakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_WORDS", WORDS)
    with running(configured(encryption_enabled=True, encryption_key="env:TEAM_WORDS")):
        pass
    for settings in ({}, {"encryption_enabled": True}, {"encryption_key": "env:OTHER_WORDS"}):
        with pytest.raises(PermissionRefusedError), running(configured(**settings)):
            pass


def test_a_key_crosses_the_pipe_in_requests_and_shows_nowhere_else() -> None:
    master = bytes(range(200, 232))
    key = wire.Unlocked("00" * 16, Secret("master", master), "11" * 8)
    place = wire.Place("/r", "maos:/x", "/c", Config(), key)
    request = wire.Request("save", place, msgspec.Raw(wire.encode({})))
    received = wire.decode_request(wire.encode_request(request)).place.key
    assert received is not None
    assert received.master.reveal() == master
    assert (received.repository, received.slot) == (key.repository, key.slot)
    for shown in (repr(request), str(place), wire.encode(request).decode("latin-1")):
        assert master.decode("latin-1") not in shown
        assert master.hex() not in shown


def test_a_configured_secret_is_not_in_the_text_of_a_configuration() -> None:
    config = Config(storage=Storage(s3=S3Storage(bucket="bucket", secret_access_key="hush-hush")))
    assert "hush" not in repr(config) + str(config) + str(list(config.storage.s3.__rich_repr__()))
    assert "bucket='bucket'" in repr(config)
