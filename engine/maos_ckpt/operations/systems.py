"""The systems that share a prefix of a bucket: each has a directory level with a header in it. Only reads."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from maos_ckpt.backends.base import HEADER_NAME
from maos_ckpt.backends.retrying import DEFAULT_POLICY, retry
from maos_ckpt.backends.s3_settings import S3Settings
from maos_ckpt.config import Config
from maos_ckpt.errors import FormatError, IntegrityError, MissingObjectError, UsageError
from maos_ckpt.operations.remotes import effective, remote_settings
from maos_ckpt.repository.header import BYTES_MAX, decode_header
from maos_ckpt.repository.keyring import ENCRYPTION
from maos_ckpt.repository.manifests import manifest_seq
from maos_ckpt.seams import Seams

if TYPE_CHECKING:
    from maos_ckpt.backends.s3 import S3Backend

T = TypeVar("T")
#: Directory levels that are looked at; each takes a few requests.
SYSTEMS_MAX = 1000
#: Systems looked at at once.
_AT_ONCE = 8
#: What `--system` takes.
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


@dataclass(frozen=True, slots=True)
class System:
    """A system as it lies in the bucket; `name` is "" for one that has the prefix for itself.

    `replicated_at_ms` is when the newest checkpoint came there, by the store's clock. Where the header cannot be used,
    `problem` says why.
    """

    name: str
    location: str
    source: str = ""
    repository: str = ""
    encrypted: bool = False
    checkpoints: int = 0
    newest: int | None = None
    replicated_at_ms: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Systems:
    """The systems below `location`; `complete` is False where there are more directory levels than are looked at."""

    location: str
    systems: tuple[System, ...]
    complete: bool


def find_systems(config: Config, seams: Seams) -> Systems:
    """The systems below the configured prefix, by name.

    Raises:
        UsageError: no bucket is configured.
        UnavailableError, PermissionRefusedError: the bucket cannot be read.
    """
    settings = _shared(config)
    with _opened(settings, seams) as backend:
        ask = _Asking(seams)
        folders = ask(lambda: backend.folders(SYSTEMS_MAX + 1))
        named = [one for one in folders[:SYSTEMS_MAX] if _NAME.fullmatch(one)]
        places = [("", backend), *((one, backend.below(one)) for one in named)]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="systems") as pool:
            found = list(pool.map(lambda place: _look(place[0], place[1], settings.location, ask), places))
    return Systems(settings.location, tuple(one for one in found if one), len(folders) <= SYSTEMS_MAX)


def names_below(config: Config, seams: Seams, limit: int) -> list[str]:
    """At most `limit` names that may be systems' below the configured prefix; by one request."""
    with _opened(_shared(config), seams) as backend:
        return [one for one in _Asking(seams)(lambda: backend.folders(limit)) if _NAME.fullmatch(one)]


def _shared(config: Config) -> S3Settings:
    """Where the systems lie, whichever of them is configured."""
    remote = remote_settings(msgspec.structs.replace(effective(config), system=""))
    if remote is None:
        raise UsageError(
            "No bucket is configured, so there are no systems in one.",
            kept="Nothing was changed.",
            hint="Name one with --repo s3://BUCKET/PREFIX, or as storage.s3.bucket in the configuration.",
        )
    return remote.s3


def _opened(settings: S3Settings, seams: Seams) -> contextlib.closing[S3Backend]:
    # Loaded here: boto3 takes longer than most commands.
    from maos_ckpt.backends.s3 import S3Backend

    return contextlib.closing(S3Backend(settings, seams))


class _Asking:
    """Repeats what fails in passing."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams

    def __call__(self, call: Callable[[], T]) -> T:
        return retry(call, DEFAULT_POLICY, self._seams)


def _look(name: str, backend: S3Backend, location: str, ask: _Asking) -> System | None:
    """The system in one place, or None where there is none."""
    place = f"{location}/{name}".rstrip("/")
    try:
        header = decode_header(ask(lambda: backend.read(HEADER_NAME, BYTES_MAX)), place)
    except MissingObjectError:
        return None
    except (IntegrityError, FormatError) as error:
        return System(name, place, problem=error.message)
    manifests = ask(lambda: [one for one, _ in backend.entries("manifests") if manifest_seq(one) is not None])
    return System(
        name,
        place,
        source=header.source,
        repository=header.id,
        encrypted=ENCRYPTION in header.features,
        checkpoints=len(manifests),
        newest=manifest_seq(manifests[-1]) if manifests else None,
        replicated_at_ms=ask(lambda: backend.written_ms(manifests[-1])) if manifests else None,
    )
