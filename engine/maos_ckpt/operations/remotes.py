"""The remote copy of a workspace: from the configuration to where it lies, and a home brought back from it."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from pathlib import Path

import msgspec

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.backends.read_cache import CacheSettings
from maos_ckpt.backends.s3_settings import S3Settings, parse_url
from maos_ckpt.config import Config
from maos_ckpt.environment import state_home
from maos_ckpt.errors import (
    ConfigError,
    ConflictError,
    IntegrityError,
    NotFoundError,
    PermissionRefusedError,
    StorageError,
    UnavailableError,
)
from maos_ckpt.replication.pull import make_home, pull
from maos_ckpt.repository import header
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.identity import home_id
from maos_ckpt.repository.keyring import Unlock
from maos_ckpt.repository.lease import try_lock
from maos_ckpt.repository.lease_objects import newest
from maos_ckpt.repository.ownership import check_source
from maos_ckpt.repository.remote import WRITER
from maos_ckpt.repository.remote_lease import LOCK_NAME
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
#: A home that does not write itself looks for news of its system at most this often.
PULL_S = 20.0
#: A command that names the remote copy itself waits so long for it.
LOOK_S = 15.0
#: … and looks once, though it opens the repository several times.
NAMED_S = 2.0
_MB = 1_000_000
S3_SCHEME = "s3://"
_PULLED = "pulled"


def remote_settings(config: Config) -> RemoteSettings | None:
    """Where the remote copy lies, or None where none is configured.

    Raises:
        ConfigError: a value that cannot be right.
    """
    s3 = config.storage.s3
    if not s3.bucket:
        if config.storage.primary == "s3":
            raise ConfigError(
                'storage.primary is "s3", but there is no storage.s3.bucket.',
                kept="Nothing was changed.",
                hint='Name the bucket, or set storage.primary = "local".',
                key="storage.s3.bucket",
            )
        return None
    return RemoteSettings(
        S3Settings(
            bucket=s3.bucket,
            prefix="/".join(part for part in (s3.prefix.strip("/"), config.system) if part),
            region=s3.region,
            endpoint_url=s3.endpoint_url,
            profile=s3.profile,
            access_key_id=s3.access_key_id,
            secret_access_key=s3.secret_access_key,
            addressing_style=s3.addressing_style,
            server_side_encryption=s3.server_side_encryption,
            kms_key_id=s3.kms_key_id,
            storage_class=s3.storage_class,
            parts_at_once=config.performance.batch_size,
        ),
        CacheSettings(config.storage.cache_size * _MB, float(config.storage.cache_ttl)),
        s3.single_writer,
    )


def effective(config: Config) -> Config:
    """The configuration with what a repository named as `s3://BUCKET/PREFIX` means for it.

    Raises:
        ConfigError: not of that form.
    """
    url = config.storage.local.path
    return with_url(config, url) if url.startswith(S3_SCHEME) else config


def with_url(config: Config, url: str) -> Config:
    """A configuration whose remote copy lies at `s3://BUCKET/PREFIX`, and whose home is not named any more.

    Raises:
        ConfigError: not of that form.
    """
    bucket, prefix = parse_url(url)
    replace = msgspec.structs.replace
    storage = replace(
        config.storage,
        primary="s3",
        local=replace(config.storage.local, path=""),
        s3=replace(config.storage.s3, bucket=bucket, prefix=prefix),
    )
    return replace(config, storage=storage)


def default_home(settings: RemoteSettings) -> Path:
    """Where the home of a remote copy lies when no source is at hand to put it beside."""
    name = hashlib.sha256(f"{settings.s3.endpoint_url} {settings.s3.location}".encode()).hexdigest()
    return state_home() / "maos-ckpt" / f"s3-{name[:20]}"


def ensure_home(home: Path, settings: RemoteSettings | None, seams: Seams, unlock: Unlock, source: str = "") -> bool:
    """Make the home of a system that only its remote copy is left of; whether there is a home afterwards.

    Args:
        source: where it is given, a home is made only for this source's checkpoints.

    Raises:
        UnavailableError, PermissionRefusedError: the remote copy cannot be read.
        ForeignRepositoryError: another source's checkpoints lie there; nothing was made.
    """
    if LocalBackend(home, seams).read_header(header.NAME, 1) is not None:
        return True
    if settings is None:
        return False

    def accept(owner: str) -> None:
        if source:
            check_source(home, owner, source)

    try:
        repository = make_home(home, settings, seams, unlock, accept)
    except NotFoundError:
        return False
    with contextlib.closing(repository):
        pull(repository)
        _note_pulled(repository)
    return True


def look_for_news(repository: Repository, *, named: bool = False) -> None:
    """Let a home that only reads follow its system, now and then; without the remote copy it shows what it has.

    Args:
        named: whoever asks has named the remote copy itself, so it is looked at now, whoever writes there; where it
            does not answer, a warning says what is shown instead.
    """
    if repository.remote is None or (repository.read_only and not named):
        return
    if not repository.read_only and not _news_due(repository, named=named):
        return
    # An engine, or another command, may be at it.
    lock = None if repository.read_only else try_lock(repository.path / LOCK_NAME, "pull", repository.seams)
    try:
        with repository.remote.hurried(LOOK_S) if named else contextlib.nullcontext():
            if lock is not None:
                # Noted first: a remote side that does not answer costs one command in a while its patience, not every
                # one.
                _note_pulled(repository)
                pull(repository, wait_s=0.0, thinned=not _writes_alone(repository))
            elif named:
                repository.remote.uncached.size(header.NAME)
    except (UnavailableError, PermissionRefusedError, ConflictError, IntegrityError) as error:
        shown = f"What this machine knows of {repository.remote.location}" if named else "What is known from before"
        _LOG.warning("%s %s is shown.", error.message, shown)
    finally:
        if lock is not None:
            # A look that took its time was a look all the same.
            with contextlib.suppress(StorageError):
                _note_pulled(repository)
            lock.release()


def _writes_alone(repository: Repository) -> bool:
    """Whether nobody else has written there since this home did: what is gone then was not removed, but lost."""
    remote = repository.remote_copy
    if not remote.memory.fact(WRITER):
        return False
    _, holder = newest(remote)
    return holder is not None and holder.home == home_id(repository.path, repository.seams)


def _news_due(repository: Repository, *, named: bool) -> bool:
    memory = repository.remote_copy.memory
    now_ms = repository.seams.clock.now_ms()
    last = memory.fact(_PULLED)
    if last.isdecimal() and 0 <= now_ms - int(last) < (NAMED_S if named else PULL_S) * 1000:
        return False
    return named or not memory.fact(WRITER) or bool(repository.unindexed())


def _note_pulled(repository: Repository) -> None:
    repository.remote_copy.memory.set_fact(_PULLED, str(repository.seams.clock.now_ms()))
