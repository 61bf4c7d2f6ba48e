"""The doctor's round: finds out where this workspace is, then looks at everything it depends on."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from maos_ckpt import doctor
from maos_ckpt.config import Settings
from maos_ckpt.doctor import Check
from maos_ckpt.environment import terminal_type
from maos_ckpt.errors import CkptError
from maos_ckpt.operations.locate import locate
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import Seams


def examine(settings: Settings, cwd: Path, seams: Seams) -> list[Check]:
    """All checks, in the order in which their failures explain each other."""
    columns, rows = shutil.get_terminal_size()
    checks = [
        doctor.check_sqlite(),
        doctor.check_terminal(terminal_type(), is_terminal=sys.stdout.isatty(), columns=columns, rows=rows),
    ]
    try:
        workspace = locate(settings, cwd, seams)
    except CkptError as error:
        return [*checks, Check("source", False, f"{error.message} {error.hint}".strip())]
    return [*checks, *_source_checks(workspace), *_repository_checks(workspace)]


def _source_checks(workspace: Workspace) -> list[Check]:
    def look() -> str:
        workspace.open_source()
        return f"{workspace.source} can be read"

    checks = [doctor.attempt("source", look)]
    database = workspace.database
    if checks[0].ok and database is not None:
        checks += [doctor.check_lock(database), doctor.check_running(database, workspace.seams)]
    return checks


def _repository_checks(workspace: Workspace) -> list[Check]:
    path = workspace.repository
    checks = [doctor.check_disk(path), doctor.check_writable(path, workspace.seams)]
    if not path.is_dir():
        checks.append(Check("repository", True, f"none at {path} yet; the first save makes it"))
        return [*checks, doctor.check_clock(workspace.seams, None)]
    newest_ms: list[int] = []

    def look() -> str:
        with workspace.reading() as repository:
            repository.check_source(workspace.source)
            found = repository.checkpoints()
            damaged = repository.damaged_manifests()
            newest_ms.extend(one.created_at_ms for one in found[:1])
        broken = f", {len(damaged)} unreadable: run `maos-ckpt verify --all`" if damaged else ""
        return f"{len(found)} checkpoints at {path}{broken}"

    checks.append(doctor.attempt("repository", look))
    checks.append(doctor.check_permissions(path))
    checks.append(doctor.check_clock(workspace.seams, newest_ms[0] if newest_ms else None))
    return checks
