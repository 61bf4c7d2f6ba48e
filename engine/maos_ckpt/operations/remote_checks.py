"""The doctor's look at the remote copy: does it answer, what can it do, who writes to it, and is the cache sound."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from maos_ckpt.backends.base import HEADER_NAME
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.backends.read_cache import BYTES_MIN, ReadCache
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.config import Config
from maos_ckpt.doctor import Check, size_text, told
from maos_ckpt.errors import CkptError, IntegrityError, MissingObjectError, PermissionRefusedError
from maos_ckpt.operations.remotes import effective, remote_settings
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.header import BYTES_MAX, decode_header
from maos_ckpt.repository.lease_objects import Holder, is_lease
from maos_ckpt.seams import Seams

if TYPE_CHECKING:
    from maos_ckpt.backends.s3 import S3Backend
    from maos_ckpt.backends.s3_probe import Capabilities

#: S3 refuses requests whose time is 15 minutes off; a clock that is this far off is on its way there.
SKEW_S_MAX = 60.0
#: A doctor is asked by somebody who waits: silences are cut shorter than in a replication.
_TIMEOUT_S = 10.0
_LEASE_BYTES_MAX = 4096
_DIRECTORY_MODE = 0o077


def examine_remote(config: Config, home: Path | None, seams: Seams) -> list[Check]:
    """All checks of the remote copy; none where no bucket is configured, and boto3 is not loaded then.

    Args:
        home: the local repository, if it is known where it is.
    """
    try:
        settings = remote_settings(effective(config))
    except CkptError as error:
        return [Check("s3", False, told(error))]
    if settings is None:
        return []
    # Loaded here: who has no bucket does not pay for boto3.
    from maos_ckpt.backends.s3 import S3Backend

    quick = replace(settings.s3, connect_timeout_s=_TIMEOUT_S, read_timeout_s=_TIMEOUT_S)
    try:
        backend = S3Backend(quick, seams)
    except CkptError as error:
        return [Check("s3", False, told(error))]
    with contextlib.closing(backend):
        checks = _store_checks(backend, settings, seams, read_only=config.read_only)
        if checks[0].ok:
            checks += [_system(backend, home, seams), _lease(backend, seams)]
    return [*checks, *_cache_checks(settings, home, seams, read_only=config.read_only)]


def _store_checks(backend: S3Backend, settings: RemoteSettings, seams: Seams, *, read_only: bool) -> list[Check]:
    """Whether it answers and lets us in, and, unless nothing may be written, what it can do."""
    from maos_ckpt.backends.s3_probe import probe

    started_s = seams.clock.monotonic_s()
    try:
        # A listing: what is refused is told with its reason, which the answer to a HEAD has no room for.
        next(iter(backend.entries("leases")), None)
        took_ms = (seams.clock.monotonic_s() - started_s) * 1000
        found = None if read_only else probe(backend, seams)
    except PermissionRefusedError as error:
        return [Check("s3 credentials", False, told(error))]
    except CkptError as error:
        return [Check("s3", False, told(error))]
    answered = f"{backend.location} answers in {took_ms:.0f} ms"
    if found is None:
        return [Check("s3", True, f"{answered}; read-only, so nothing more was tried out")]
    return [
        Check("s3", True, answered),
        Check("s3 credentials", True, "they allow to read, write, list and delete"),
        *_capabilities(found, single_writer=settings.single_writer),
        *_clock(found.clock_skew_s),
    ]


def _capabilities(found: Capabilities, *, single_writer: bool) -> list[Check]:
    elsewhere = "no repository can be kept there: use another store, or another endpoint of it"
    needed = [
        ("s3 read-back", found.read_after_write, "what was written is read at once, what was deleted is gone"),
        ("s3 ranges", found.ranges, "parts of an object can be read"),
        ("s3 listing", found.listing, "listings are complete and in order"),
    ]
    why = f" ({'; '.join(found.notes)})" if found.notes else ""
    checks = [Check(name, ok, good if ok else elsewhere + why) for name, ok, good in needed]
    return [*checks, _creation(found, single_writer), _replacement(found)]


def _creation(found: Capabilities, single_writer: bool) -> Check:
    name = "s3 create-once"
    if found.conditional_create and found.atomic_create:
        return Check(name, True, "of several writers of one name exactly one succeeds")
    if found.conditional_create:
        return Check(name, True, "conditions are checked but not atomic, so each new lease is read back after a second")
    if single_writer:
        return Check(name, True, "conditions are ignored; storage.s3.single_writer says that one machine alone writes")
    advice = "use a store with conditional writes, or set storage.s3.single_writer if one machine alone writes"
    return Check(name, False, f"conditions are ignored, so two writers could overwrite each other: {advice}")


def _replacement(found: Capabilities) -> Check:
    words = "If-Match is honoured" if found.conditional_replace else "If-Match is not honoured; nothing depends on it"
    return Check("s3 replace-if", True, words)


def _clock(skew_s: float | None) -> list[Check]:
    if skew_s is None:
        return [Check("s3 clock", True, "the store does not tell its time")]
    side = "ahead of" if skew_s > 0 else "behind"
    words = f"this clock is {abs(skew_s):.0f} s {side} the store's" if abs(skew_s) >= 1 else "the clocks agree"
    if abs(skew_s) <= SKEW_S_MAX:
        return [Check("s3 clock", True, words)]
    return [Check("s3 clock", False, f"{words}; beyond 15 minutes S3 refuses everything: set it, and let NTP keep it")]


def _system(backend: S3Backend, home: Path | None, seams: Seams) -> Check:
    """Whose checkpoints lie there."""
    name = "s3 system"
    try:
        there = decode_header(backend.read(HEADER_NAME, BYTES_MAX), backend.location)
    except MissingObjectError:
        return Check(name, True, "no repository there yet; the first replication makes it")
    except CkptError as error:
        return Check(name, False, told(error))
    here = None
    if home is not None:
        with contextlib.suppress(CkptError):
            data = LocalBackend(home, seams).read_header(HEADER_NAME, BYTES_MAX)
            here = None if data is None else decode_header(data, str(home))
    if here is not None and here.id != there.id:
        advice = "give this system a name of its own (system in the configuration, --system), or another prefix"
        return Check(name, False, f"the checkpoints of another repository lie there, of {there.source}: {advice}")
    return Check(name, True, f"checkpoints of {there.source}")


def _lease(backend: S3Backend, seams: Seams) -> Check:
    """Who writes to the remote copy; that another machine does is told, and is no fault."""
    name = "s3 lease"
    try:
        newest = max((one for one, _ in backend.entries("leases") if is_lease(one)), default=None)
        if newest is None:
            return Check(name, True, "nobody has written there yet")
        holder = msgspec.json.decode(backend.read(newest, _LEASE_BYTES_MAX), type=Holder)
    except MissingObjectError:
        return Check(name, True, "it is changing hands just now")
    except (IntegrityError, *UNDECODABLE):
        advice = "a machine that is alive writes it anew, and one that does not change is taken over after a while"
        return Check(name, False, f"{newest} cannot be read, so who writes is not known: {advice}; saves go on")
    except CkptError as error:
        return Check(name, False, told(error))
    if holder.released:
        return Check(name, True, f"free; process {holder.pid} on {holder.host} gave it back")
    age_s = max(0.0, (seams.clock.now_ms() - holder.since_ms) / 1000)
    return Check(name, True, f"held by process {holder.pid} on {holder.host} for {age_s:.0f} s")


def _cache_checks(settings: RemoteSettings, home: Path | None, seams: Seams, *, read_only: bool) -> list[Check]:
    """The read cache, tried with a value; it may only ever cost speed."""
    name = "s3 cache"
    if settings.cache.bytes_max == 0:
        return [Check(name, True, "switched off (storage.cache_size is 0)")]
    if home is None or not (home / "cache").is_dir():
        return [Check(name, True, "none yet")]
    directory = home / "cache" / "reads"
    fault = _directory_fault(directory)
    if fault:
        return [Check(name, False, fault)]
    if read_only or not os.access(home / "cache", os.W_OK):
        return [Check(name, True, f"{directory} was not tried: nothing may be written")]
    if shutil.disk_usage(home / "cache").free < BYTES_MIN:
        return [Check(name, False, f"{directory}: its disk is full, so it keeps nothing; that costs speed only")]
    cache = ReadCache(directory, settings.cache, seams)
    try:
        value = seams.random.token(64)
        cache.put("doctor", "doctor", value)
        kept = cache.get("doctor") == value
        cache.forget("doctor")
        now = cache.statistics()
    finally:
        cache.close()
    if not kept or now.rebuilt or now.bypassed:
        why = now.bypassed or ("its files were broken and are made anew" if now.rebuilt else "it does not keep values")
        return [Check(name, False, f"{directory}: {why}; it costs speed only, and may be deleted")]
    bound = f"{size_text(settings.cache.bytes_max)} (storage.cache_size)"
    return [Check(name, True, f"{size_text(now.bytes_now)} of {bound} at {directory}")]


def _directory_fault(directory: Path) -> str:
    try:
        status = directory.lstat()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{directory}: {error.strerror}"
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return f"{directory} is not a directory of this user: remove it, and it is made anew"
    mode = stat.S_IMODE(status.st_mode)
    return f"{directory} has mode {mode:04o}; make it private: chmod 700" if mode & _DIRECTORY_MODE else ""
