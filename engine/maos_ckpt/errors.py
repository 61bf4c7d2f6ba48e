"""Everything that can go wrong, grouped by what a handler would do about it.

::

    CkptError
    ├── UsageError              mend the call or the configuration          exit 2
    │   └── ConfigError
    ├── NotFoundError           name another id, component or record        exit 3
    ├── ConflictError           wait, or look again and retry               exit 4
    │   ├── LeaseHeldError      another process works on this repository
    │   ├── PlanMovedError      the live state moved since the plan
    │   ├── ForeignRepositoryError  the repository belongs to another source
    │   └── EngineRestartedError    a remote engine no longer knows a call that was made of it
    ├── IntegrityError          stop, verify, take another checkpoint       exit 5
    │   └── MissingObjectError  a stored object is not there
    ├── UnavailableError        mend storage or source, then retry          exit 6
    │   ├── SourceError         the source cannot be read or written now
    │   ├── StorageError        the repository cannot be read or written
    │   │   └── TransientStorageError  the same call may succeed later
    │   ├── FormatError         written by a version this one cannot read
    │   └── EngineUnreachableError  a remote engine does not answer
    ├── PermissionRefusedError  get the right or the key                    exit 7
    ├── PartialError            done in part; the message names the rest    exit 8
    └── InterruptedByUserError  asked to stop                               exit 130

Errors carry data and never render themselves: the command line, the REST API and the console each turn the
same four fields into their own form. No field may hold a secret or state content beyond a record's key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import IntEnum


class ExitCode(IntEnum):
    """Process exit codes of the command line; the contract is in the README."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    INTEGRITY = 5
    UNAVAILABLE = 6
    PERMISSION = 7
    PARTIAL = 8
    INTERRUPTED = 130


class CkptError(Exception):
    """Root of all errors that this project raises on purpose.

    Args:
        message: one clear sentence that says what happened.
        kept: one sentence that says what was *not* lost, or "" where nothing was at stake.
        hint: one sentence that says what to do next.
        data: facts for machines (ids, counts, paths); JSON-compatible values.
    """

    kind = "internal"
    exit_code = ExitCode.INTERNAL

    def __init__(self, message: str, *, kept: str = "", hint: str = "", **data: object) -> None:
        super().__init__(message)
        self.message = message
        self.kept = kept
        self.hint = hint
        self.data = data


class UsageError(CkptError):
    """The call itself is wrong: an unknown option value, a missing argument, an unsupported source."""

    kind = "usage"
    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """The configuration file or environment holds a wrong type or a misspelt key."""

    kind = "config"


class NotFoundError(CkptError):
    """No checkpoint, component or record of that name; `data["nearest"]` may name what was meant."""

    kind = "not_found"
    exit_code = ExitCode.NOT_FOUND


class ConflictError(CkptError):
    """Somebody else is at work, or the world is not as the caller believed."""

    kind = "conflict"
    exit_code = ExitCode.CONFLICT


class LeaseHeldError(ConflictError):
    """Another process holds the repository's lease; `data` names its pid, host and since when."""

    kind = "lease_held"


class RecoveryRunningError(ConflictError):
    """Another recovery is under way; `data` says whose, since when, and how far it is."""

    kind = "recovery_running"


class PlanMovedError(ConflictError):
    """A live record that the plan touches changed since the plan was made; nothing was written."""

    kind = "plan_moved"


class ForeignRepositoryError(ConflictError):
    """The repository holds checkpoints of another source."""

    kind = "foreign_repository"


class EngineRestartedError(ConflictError):
    """The engine was started anew since a call was made of it; `data["engine"]` names its present run."""

    kind = "engine_restarted"


class IntegrityError(CkptError):
    """Stored bytes are missing or not what their name says."""

    kind = "integrity"
    exit_code = ExitCode.INTEGRITY


class NotEncryptedError(IntegrityError):
    """A repository is in the clear that must not be."""


class MissingObjectError(IntegrityError):
    """The storage answered, and has no object of that name."""


class UnavailableError(CkptError):
    """A source or a storage cannot be used now."""

    kind = "unavailable"
    exit_code = ExitCode.UNAVAILABLE


class SourceError(UnavailableError):
    """The source is missing, locked, corrupt, or not what the spec says."""

    kind = "source"


class StorageError(UnavailableError):
    """The repository's storage refuses: disk full, read-only, input/output error."""

    kind = "storage"


class TransientStorageError(StorageError):
    """The storage did not answer, or asked for patience; repeating the call is safe and may succeed."""


class FormatError(UnavailableError):
    """The repository is of a format version, or uses a feature, that this version does not know."""

    kind = "format"


class EngineUnreachableError(UnavailableError):
    """A remote engine does not answer: it ended, or the way to it is broken."""

    kind = "engine_unreachable"


class PermissionRefusedError(CkptError):
    """The operating system or a key refuses."""

    kind = "permission"
    exit_code = ExitCode.PERMISSION


def read_only_refusal(operation: str) -> PermissionRefusedError:
    """What is raised where the settings forbid to change anything."""
    return PermissionRefusedError(
        f"Read-only mode is on, so {operation} is refused.",
        kept="Nothing was changed.",
        hint="Leave out --read-only (or `read_only` in the configuration) to allow it.",
        operation=operation,
    )


class KeyRefusedError(PermissionRefusedError):
    """A repository's key is missing, cannot be used, or is another one."""


class PartialError(CkptError):
    """The operation was done in part; what is missing is named in `data`."""

    kind = "partial"
    exit_code = ExitCode.PARTIAL


class InterruptedByUserError(CkptError):
    """The operation was asked to stop and did so at a safe point."""

    kind = "interrupted"
    exit_code = ExitCode.INTERRUPTED


#: What reading an older state may raise where a new one can be stored without it: it is damaged, or lies in a remote
#: copy that does not answer. No save fails because of that.
UNREADABLE = (IntegrityError, UnavailableError, PermissionRefusedError)


@contextlib.contextmanager
def working_on(checkpoint_id: str) -> Iterator[None]:
    """Let a failure of the storage say which checkpoint was in work."""
    try:
        yield
    except (StorageError, PermissionRefusedError) as error:
        error.message = f"{error.message.removesuffix('.')} (at work on {checkpoint_id})."
        error.args = (error.message,)
        error.data["checkpoint"] = checkpoint_id
        raise
