"""Scenarios in which storage fails while the state is gone: a damaged repository, an S3 that is away, a wrong key."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Iterator
from pathlib import Path

from maos_ckpt.backends.base import HEADER_NAME
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.backends.retrying import RetryingBackend
from maos_ckpt.codec.secret import Secret
from maos_ckpt.drill import faults
from maos_ckpt.drill.afterwards import assert_recovered
from maos_ckpt.drill.copied import needed_packs
from maos_ckpt.drill.stage import Stage
from maos_ckpt.errors import CkptError, KeyRefusedError, UnavailableError
from maos_ckpt.model import CheckpointState, Selection, VerifyLevel, VerifyTier
from maos_ckpt.replication.pull import pull
from maos_ckpt.repository import header as headers
from maos_ckpt.repository.keyring import keyring, unlock
from maos_ckpt.repository.manifests import manifest_name
from maos_ckpt.repository.repository import Repository
from maos_ckpt.verify import verify

_WRONG_KEY_BYTES = 32
#: A connection to an endpoint that is not there takes no longer.
_REFUSED_S = 2.0


def damaged_repository(stage: Stage) -> None:
    """Bytes of local packs are flipped; the damage is found and mended from the bucket, then the state recovered."""
    stage.clone_base()
    damaged = _packs_with_a_copy(stage)
    flipped = sum(faults.flip_bytes(one) for one in damaged)
    files = stage.place.lose_state()
    stage.begin_fault(
        f"{flipped} bytes in {len(damaged)} local packs were flipped, and {files} files of the state deleted."
    )
    with stage.opened(remote=stage.origin.remote) as repository:
        checkpoint = repository.resolve(stage.origin.checkpoint.id)
        stage.step("find the damage")
        found = verify(repository, [checkpoint], VerifyLevel.STANDARD, stage.quietly, tier=VerifyTier.LOCAL)
        named = {one.object for one in found.findings}
        stage.check("the damage is found", not found.ok and bool(named), f"{len(named)} objects named")
        stage.step("repair from the bucket")
        with repository.lease("repair"):
            mended = verify(repository, [checkpoint], VerifyLevel.STANDARD, stage.quietly, repair=True)
        left = "; ".join(f"{one.object}: {one.detail}" for one in mended.unrepaired[:3])
        count = f"{len(mended.repaired)} of {len(damaged)} packs repaired"
        stage.require("every damaged object is mended from the other tier", not mended.unrepaired, left or count)
        stage.recover(repository, checkpoint, Selection())
        assert_recovered(stage, repository, checkpoint, Selection())


def _packs_with_a_copy(stage: Stage) -> list[Path]:
    """The checkpoint's packs of which the bucket should have a copy: all, unless it is still being replicated."""
    stage.step("look into the bucket")
    with stage.opened(remote=stage.origin.remote) as repository:
        pull(repository, stage.quietly)
        checkpoint, memory = repository.resolve(stage.origin.checkpoint.id), repository.remote_copy.memory
        packs, _ = needed_packs(repository, checkpoint)
        if not memory.holds(manifest_name(checkpoint.seq)):
            stage.notes.append("The checkpoint was still being replicated: what S3 did not have yet was spared.")
            packs = {one for one in packs if memory.holds(one)}
        stage.require("the bucket should have a copy of it", bool(packs), repository.remote_copy.location)
        return [repository.backend.path(one) for one in sorted(packs)]


def s3_away(stage: Stage) -> None:
    """Nobody answers at the bucket's endpoint; recovery goes by the local repository alone, and saves go on."""
    stage.clone_base()
    assert stage.origin.remote is not None
    for name in stage.base.fetched:
        # The local repository does not have it.
        (stage.place.repository / name).unlink()
    with _refusing() as endpoint:
        settings = dataclasses.replace(
            stage.origin.remote,
            s3=dataclasses.replace(stage.origin.remote.s3, endpoint_url=endpoint, connect_timeout_s=_REFUSED_S),
        )
        files = stage.place.lose_state()
        stage.begin_fault(f"Connections to S3 are refused, and {files} files of the state were deleted.")
        with stage.opened(remote=settings) as repository:
            stage.require("S3 does not answer", _does_not_answer(repository))
            checkpoint = repository.resolve(stage.origin.checkpoint.id)
            stage.recover(repository, checkpoint, Selection())
            assert_recovered(stage, repository, checkpoint, Selection())
            stage.step("save while S3 is away")
            saved = stage.save(repository, "while S3 is away")
            stage.check("saves go on, and wait for S3", saved.state is CheckpointState.COMMITTED, saved.id)


@contextlib.contextmanager
def _refusing() -> Iterator[str]:
    """An endpoint that refuses every connection: a port that is taken, and that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def _does_not_answer(repository: Repository) -> bool:
    try:
        backend = repository.remote_copy.uncached
        # One try: that repeating does not help here is known.
        direct = backend.inner if isinstance(backend, RetryingBackend) else backend
        direct.read(HEADER_NAME, headers.BYTES_MAX)
    except UnavailableError:
        return True
    return False


def wrong_key(stage: Stage) -> None:
    """A wrong key is refused before anything is read or changed; with the right one the state comes back."""
    stage.clone_base()
    origin = stage.origin
    backend = LocalBackend(stage.place.repository, origin.seams)
    objects = backend.list("packs") | backend.list("manifests")
    files = stage.place.lose_state()
    stage.begin_fault(f"A wrong key is given, and {files} files of the state were deleted.")
    stage.step("try wrong keys")
    wrong = origin.seams.random.token(_WRONG_KEY_BYTES)
    for kind in dict.fromkeys(one.kind for one in keyring(backend, origin.identity).slots):
        secret = Secret("key_file" if kind == "key_file" else "passphrase", wrong)
        stage.check(f"a wrong {kind.replace('_', ' ')} is refused", _is_refused(backend, origin.identity, secret))
    stage.check("a wrong master key reads nothing", _reads_nothing(stage, Secret("master", wrong)))
    unchanged = backend.list("packs") | backend.list("manifests") == objects
    stage.check("the wrong keys changed nothing", unchanged and not any(stage.place.work.iterdir()))
    stage.step("give the right key")
    with stage.opened() as repository:
        checkpoint = repository.resolve(origin.checkpoint.id)
        stage.recover(repository, checkpoint, Selection())
        assert_recovered(stage, repository, checkpoint, Selection())


def _is_refused(backend: LocalBackend, identity: str, secret: Secret) -> bool:
    try:
        unlock(backend, identity, secret)
    except KeyRefusedError:
        return True
    return False


def _reads_nothing(stage: Stage, master: Secret) -> bool:
    try:
        with stage.opened(key=master) as repository:
            return not repository.checkpoints()
    except CkptError:
        return True
