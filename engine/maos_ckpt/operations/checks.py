"""The doctor's round: finds out where this workspace is, then looks at everything it depends on."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from maos_ckpt import doctor
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.backends.local_directory import TEMPORARY
from maos_ckpt.codec.secret import exposed_key_file
from maos_ckpt.config import Settings
from maos_ckpt.doctor import Check
from maos_ckpt.environment import terminal_type
from maos_ckpt.errors import CkptError, IntegrityError
from maos_ckpt.model import Checkpoint
from maos_ckpt.operations.locate import locate
from maos_ckpt.operations.remote_checks import examine_remote
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.repository.keyring import ENCRYPTION, keyring
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams

#: There should be space for so many more saves as the last ones were, and for the copy that each reads from.
SAVES_LOOKED_AT = 10


def examine(settings: Settings, cwd: Path, seams: Seams) -> list[Check]:
    """All checks, in the order in which their failures explain each other."""
    columns, rows = shutil.get_terminal_size()
    checks = [
        doctor.check_sqlite(),
        doctor.check_terminal(terminal_type(), is_terminal=sys.stdout.isatty(), columns=columns, rows=rows),
        _configuration(settings),
    ]
    try:
        workspace = locate(settings, cwd, seams)
    except CkptError as error:
        return [*checks, Check("source", False, doctor.told(error)), *examine_remote(settings.config, None, seams)]
    checks += [*_source_checks(workspace), *_repository_checks(workspace)]
    return checks + examine_remote(settings.config, workspace.repository, seams)


def _configuration(settings: Settings) -> Check:
    exposed = settings.exposed_secrets()
    if exposed:
        what = (
            f"{settings.file} holds {' and '.join(exposed)}, and others may read it: chmod 600, and change the secret"
        )
        return Check("configuration", False, what)
    key_file = exposed_key_file(settings.config.encryption_key)
    if key_file is not None:
        return Check("configuration", False, f"the key file {key_file} may be read by others: chmod 600, and change it")
    where = f"{settings.file} is in order" if settings.file else "no configuration file; environment and defaults"
    return Check("configuration", True, where)


def _source_checks(workspace: Workspace) -> list[Check]:
    def look() -> str:
        workspace.open_source()
        return f"{workspace.source} can be read"

    checks = [doctor.attempt("source", look)]
    database = workspace.database
    if checks[0].ok and database is not None and database.exists():
        checks += _capture_checks(workspace, database)
        checks.append(doctor.check_running(database, workspace.seams))
    return checks


def _capture_checks(workspace: Workspace, database: Path) -> list[Check]:
    """With the copy where a save makes it, if there is such a place."""
    temporary = workspace.repository / TEMPORARY
    usable = not workspace.config.read_only and os.access(temporary, os.W_OK)
    try:
        if usable:
            directory = LocalBackend(workspace.repository, workspace.seams).make_cut_directory()
        else:
            directory = Path(tempfile.mkdtemp(prefix="maos-ckpt-doctor-"))
    except CkptError as error:
        return [Check("lock", False, doctor.told(error))]
    except OSError as error:
        return [Check("lock", False, f"no place for a copy of the database: {error.strerror}")]
    try:
        of_maos = workspace.source.startswith("maos:")
        return doctor.check_capture(database, directory, of_maos=of_maos, seams=workspace.seams)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _repository_checks(workspace: Workspace) -> list[Check]:
    path, seams = workspace.repository, workspace.seams
    if not path.is_dir():
        return [
            doctor.check_disk(path, _image_bytes(workspace)),
            doctor.check_writable(path, seams),
            Check("repository", True, f"none at {path} yet; the first save makes it"),
            doctor.check_clock(seams, None),
        ]
    newest: list[Checkpoint] = []

    def look() -> str:
        with workspace.reading(news=False) as repository:
            repository.check_source(workspace.source)
            found, damaged = repository.checkpoints(), repository.damaged_manifests()
            newest.extend(found[:SAVES_LOOKED_AT])
            if damaged:
                raise IntegrityError(
                    f"{len(damaged)} manifests at {path} cannot be read: {', '.join(list(damaged)[:3])}.",
                    hint="`maos-ckpt verify --all` says what is wrong.",
                )
            if repository.marks_lost:
                raise IntegrityError(
                    f"The folder marks of {path} is gone, so every checkpoint counts as pinned.",
                    hint="The next save makes it anew.",
                )
        return f"{len(found)} checkpoints at {path}, {_encryption(workspace, repository)}"

    repository = doctor.attempt("repository", look)
    expected_bytes = sum(one.stored_bytes for one in newest) + _image_bytes(workspace)
    checks = [doctor.check_disk(path, expected_bytes)]
    if not workspace.config.read_only:
        checks += [doctor.check_writable(path, seams), doctor.check_lease(path, seams)]
    checks += [repository, doctor.check_permissions(path)]
    return [*checks, doctor.check_clock(seams, newest[0].created_at_ms if newest else None)]


def _encryption(workspace: Workspace, repository: Repository) -> str:
    if ENCRYPTION not in repository.header.features:
        return "not encrypted"
    slots = {one.id: one.label for one in keyring(repository.backend, repository.header.id).slots}
    slot = workspace.key.slot(repository.header.id)
    label = f" ({slots[slot]})" if slots.get(slot) else ""
    return f"encrypted, opened by the key {slot}{label}, one of {len(slots)}"


def _image_bytes(workspace: Workspace) -> int:
    """What the copy of the database takes while a save reads it."""
    try:
        return 0 if workspace.database is None else workspace.database.stat().st_size
    except OSError:
        return 0
