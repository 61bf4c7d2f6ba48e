"""What operations write to the audit log, and how `verify` and people read it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from maos_ckpt.audit.check import check
from maos_ckpt.audit.entries import BEGUN, DONE, FAILED, PARTIAL, Entry, decode_anchor
from maos_ckpt.audit.log import Act
from maos_ckpt.errors import CkptError, PartialError
from maos_ckpt.model import Finding, Severity, VerifyResult
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.repository.repository import Repository


@dataclass(slots=True)
class Note:
    """What is found out about an act while it is carried out; see `audited`."""

    result: str = DONE
    detail: str = ""
    digest: str = ""
    about: Sequence[str] = ()


def record(
    workspace: Workspace,
    verb: str,
    *,
    reason: str = "",
    digest: str = "",
    result: str = DONE,
    detail: str = "",
    about: Sequence[str] = (),
) -> None:
    """Append to the audit log who did something now; a log that cannot be written fails nothing.

    In read-only mode nothing is written, and nothing that is told of here happens to the repository or the source.

    Args:
        verb: what was done: `restore`, `undo`, `delete`, `prune`, `key add`, `drill`, …
        reason: what the person said it is for.
        digest: of the plan that was carried out.
        result: `begun`, `done`, `partial` or `failed`; `detail` says more. Neither may hold state content or a secret.
        about: ids of checkpoints, keys or reports that it is about.
    """
    if not workspace.config.read_only:
        workspace.audit.record(Act(verb, result, detail, reason, digest, about))


@contextlib.contextmanager
def audited(
    workspace: Workspace,
    verb: str,
    *,
    reason: str = "",
    digest: str = "",
    about: Sequence[str] = (),
    begun: bool = False,
) -> Iterator[Note]:
    """Record an act when the block ends, whichever way; the block says the rest in the note that it gets.

    Args:
        begun: also record that it begins, so that one whose process is killed is known, too.
    """
    note = Note(digest=digest, about=about)
    if begun:
        record(workspace, verb, reason=reason, digest=digest, result=BEGUN, about=about)
    try:
        yield note
    except BaseException as error:
        note.result = PARTIAL if isinstance(error, PartialError) else FAILED
        note.detail = f"{error.kind}: {error.message}" if isinstance(error, CkptError) else type(error).__name__
        raise
    finally:
        record(
            workspace, verb, reason=reason, digest=note.digest, result=note.result, detail=note.detail, about=note.about
        )


def recent(workspace: Workspace, limit: int) -> list[Entry]:
    """The newest entries, newest first."""
    return list(islice(workspace.audit.newest_first(), limit))


def findings(workspace: Workspace, repository: Repository) -> list[Finding]:
    """What is wrong with the audit log; see `audit.check`."""
    anchors = {one.id: anchor for one in repository.checkpoints() if (anchor := decode_anchor(one.audit)) is not None}
    return check(workspace.audit, anchors, elsewhere=repository.remote is not None)


def verified(workspace: Workspace, repository: Repository, result: VerifyResult, *, repair: bool) -> VerifyResult:
    """A verification's result with the audit log's findings; `repair` begins a new chain that names what is wrong."""
    found = findings(workspace, repository)
    wrong = [one.message for one in found if one.severity is Severity.ERROR]
    if wrong and repair:
        anchors = [decode_anchor(one.audit) for one in repository.checkpoints()]
        workspace.audit.begin_anew(" ".join(wrong), max((one.seq for one in anchors if one is not None), default=0))
        found = findings(workspace, repository)
        wrong = [one.message for one in found if one.severity is Severity.ERROR]
    return dataclasses.replace(result, ok=result.ok and not wrong, findings=(*result.findings, *found))
