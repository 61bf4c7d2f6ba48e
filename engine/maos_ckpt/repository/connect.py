"""From settings to a remote copy: the S3 backend with retries, circuit breaker and read cache in front of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from maos_ckpt.backends.base import Backend
from maos_ckpt.backends.breaker import CircuitBreaker
from maos_ckpt.backends.patience import Patience
from maos_ckpt.backends.read_cache import CacheSettings, ReadCache
from maos_ckpt.backends.read_only import ReadOnlyBackend
from maos_ckpt.backends.retrying import RetryingBackend
from maos_ckpt.backends.s3_settings import S3Settings
from maos_ckpt.codec.crypto import Sealer
from maos_ckpt.errors import CkptError
from maos_ckpt.repository.cache_place import NAME as CACHE
from maos_ckpt.repository.remote import RemoteCopy, Timing
from maos_ckpt.repository.remote_memory import RemoteMemory
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
_CREATE_MODE = "create mode"
_SWEPT = "swept"
#: How often a writer looks for uploads that nobody will end.
_SWEEP_EVERY_S = 86_400


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Where a repository's remote copy lies and how it is read.

    Args:
        single_writer: the operator states that nobody else ever writes there.
        timing: how long leases and grace periods are.
        read_only: refuse every change there.
    """

    s3: S3Settings
    cache: CacheSettings
    single_writer: bool = False
    timing: Timing = field(default_factory=Timing)
    read_only: bool = False


def open_remote(
    home: Path,
    repository: str,
    settings: RemoteSettings,
    sealer: Sealer,
    seams: Seams,
    *,
    breaker: CircuitBreaker | None = None,
) -> RemoteCopy:
    """The remote copy that belongs to the repository (by id) in `home`; connects at its first use."""
    cache = home / CACHE
    memory = RemoteMemory(cache / "remote.sqlite" if cache.is_dir() else None, settings.s3.location)
    before = breaker or CircuitBreaker(seams)
    patience = Patience(seams.clock)

    def connect() -> Backend:
        # Loaded here: who needs no remote side does not pay for its libraries.
        from maos_ckpt.backends.cached import CachedBackend

        reads = ReadCache(cache / "reads", settings.cache, seams)
        return CachedBackend(connected(settings, memory, seams, breaker=before, patience=patience), reads, repository)

    def try_out(backend: Backend) -> None:
        _try_out(backend, settings, memory, seams)

    return RemoteCopy(connect, settings.s3.location, memory, sealer, settings.timing, before, try_out, patience)


def connected(
    settings: RemoteSettings,
    memory: RemoteMemory,
    seams: Seams,
    *,
    breaker: CircuitBreaker | None = None,
    patience: Patience | None = None,
) -> RetryingBackend:
    """The objects in S3, with retries and circuit breaker, and no cache."""
    from maos_ckpt.backends.s3 import CreateMode, S3Backend

    breaker = breaker or CircuitBreaker(seams)
    with breaker.call():
        backend = S3Backend(settings.s3, seams)
    known = memory.fact(_CREATE_MODE)
    if known:
        backend.create_mode = CreateMode(int(known))
    inner: Backend = ReadOnlyBackend(backend) if settings.read_only else backend
    return RetryingBackend(inner, seams, breaker=breaker, patience=patience)


def _try_out(backend: Backend, settings: RemoteSettings, memory: RemoteMemory, seams: Seams) -> None:
    """Find out, once, what the store really does, and go by it; see `RemoteCopy.make_writable`.

    Now and then, what uploads of crashed processes have left there is cleared away, too.
    """
    from maos_ckpt.backends.cached import CachedBackend
    from maos_ckpt.backends.s3 import S3Backend
    from maos_ckpt.backends.s3_probe import choose_create_mode, probe

    retrying = backend.inner if isinstance(backend, CachedBackend) else backend
    if not isinstance(retrying, RetryingBackend) or not isinstance(retrying.inner, S3Backend):
        return
    if not memory.fact(_CREATE_MODE):
        with retrying.breaker.call():
            mode = choose_create_mode(probe(retrying.inner, seams), single_writer=settings.single_writer)
        retrying.inner.create_mode = mode
        memory.set_fact(_CREATE_MODE, str(int(mode)))
    now_s = seams.clock.now_ms() // 1000
    swept_s = memory.fact(_SWEPT)
    if not swept_s.isdecimal() or abs(now_s - int(swept_s)) >= _SWEEP_EVERY_S:
        # Also where it fails: not every store and every key may list uploads, and nothing hangs on it.
        memory.set_fact(_SWEPT, str(now_s))
        try:
            retrying.inner.sweep()
        except CkptError as error:
            _LOG.info("unfinished uploads were not looked for: %s", error)
