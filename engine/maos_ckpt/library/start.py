"""Making a `CheckpointSystem`: from nothing, or from a configuration and the managers of a program."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from maos_ckpt.config import Config, Settings, load
from maos_ckpt.errors import UsageError
from maos_ckpt.library.names import providers_of
from maos_ckpt.library.system import CheckpointSystem
from maos_ckpt.operations.barrier import provider_host
from maos_ckpt.operations.locate import locate
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.provider.calls import Calls
from maos_ckpt.sources.provider.hooks import Hook
from maos_ckpt.sources.several import PROVIDER

#: How the managers' part of the state is called in specs and collections.
DEFAULT_NAME: Final = "managers"

Configuration = Config | Mapping[str, Any] | str | os.PathLike[str] | None


def create_checkpoint_system(
    config: Configuration = None,
    managers: Mapping[str, Any] | None = None,
    *,
    name: str = DEFAULT_NAME,
    directory: str | os.PathLike[str] = ".",
    quiesce: Hook | None = None,
    resume: Hook | None = None,
) -> CheckpointSystem:
    """A system that has not been started: nothing is opened or made yet.

    Args:
        config: a `Config`, its keys as a mapping (snake_case or camelCase), or a configuration file; None takes what
            `maos-ckpt` itself would find in `directory`.
        managers: `agent_manager`, `memory_manager`, `queue_manager`, `task_manager`, `system_manager`, or components by
            name; each an object with `capture()` and `restore(items)`, a mapping, or a function that gives items. Their
            state goes into every checkpoint, beside that of the sources that `config` names.
        name: of the managers' state, where several programs have some.
        directory: where relative paths and, without a source, the repository are.
        quiesce, resume: called to hold the program still while everything is opened, and to let it go on; plain
            functions or coroutines.

    Raises:
        UsageError, ConfigError: a key, value, manager or source that does not fit.
    """
    if not name.isidentifier() or not name.isascii():
        raise UsageError(f"{name[:100]!r} is no name for managers.", hint="Use a plain word.")
    base = Path(os.path.abspath(directory))
    settings = _settings(config, base)
    providers = providers_of(managers or {}, name)
    workspace = locate(settings, base, SYSTEM, own=f"{PROVIDER}:{name}" if providers else "")
    calls = Calls()
    if providers or quiesce is not None or resume is not None:
        database = workspace.database
        place = base if database is None else database.parent
        host = provider_host(settings.config, providers, place, workspace.seams, quiesce=quiesce, resume=resume)
        host.calls = calls
        workspace = replace(workspace, host=host)
    return CheckpointSystem(workspace, calls)


async def quick_start(
    directory: str | os.PathLike[str] = ".", managers: Mapping[str, Any] | None = None
) -> CheckpointSystem:
    """A running system with everything as it is by default: the MAOS in `directory`, the managers, or both.

    Raises:
        UsageError: there is neither.
        SourceError, PermissionRefusedError: see `CheckpointSystem.initialize`.
    """
    system = create_checkpoint_system(None, managers, directory=directory)
    await system.start()
    return system


def _settings(config: Configuration, base: Path) -> Settings:
    if config is None or isinstance(config, Config | Mapping):
        return load(cwd=base, given=config)
    return load(cwd=base, file=os.fspath(config))
