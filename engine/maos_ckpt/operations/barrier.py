"""What holds the system still while a checkpoint is taken, as the configuration says, and the providers that belong to
this process or to none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maos_ckpt.config import Config
from maos_ckpt.errors import SourceError
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import NOT_HELD, Pause
from maos_ckpt.sources.provider.calls import Calls
from maos_ckpt.sources.provider.hooks import Hook, Hooks, command_hook, http_hook
from maos_ckpt.sources.provider.host import Captured, Host, Restored
from maos_ckpt.sources.provider.in_process import Limits, ProviderHost
from maos_ckpt.sources.provider.providers import Provider

if TYPE_CHECKING:
    import asyncio

    from maos_ckpt.operations.workspace import Workspace


def provider_host(
    config: Config,
    providers: Sequence[Provider],
    directory: Path,
    seams: Seams,
    *,
    quiesce: Hook | None = None,
    resume: Hook | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
) -> ProviderHost:
    """This process with its providers, and with the hooks of the configuration; callbacks come first and go last.

    Args:
        directory: where commands run.
        loop: where coroutines run.
    """
    barrier = config.barrier
    before: list[Hook] = [] if quiesce is None else [quiesce]
    after: list[Hook] = []
    within_s = barrier.hook_timeout_s
    if barrier.quiesce_url:
        before.append(http_hook(barrier.quiesce_url, within_s))
    if barrier.quiesce_command:
        before.append(command_hook(barrier.quiesce_command, directory, within_s, seams.processes))
    if barrier.resume_command:
        after.append(command_hook(barrier.resume_command, directory, within_s, seams.processes))
    if barrier.resume_url:
        after.append(http_hook(barrier.resume_url, within_s))
    after += [] if resume is None else [resume]
    hooks = Hooks(
        tuple(before),
        tuple(after),
        barrier.resume_command,
        directory,
        within_s,
        barrier.hold_timeout_s,
        barrier.recovery_hold_timeout_s,
    )
    limits = Limits(barrier.provider_timeout_s, barrier.provider_bytes_max)
    return ProviderHost(providers, hooks, limits, seams, Calls(loop))


def barrier_of(workspace: Workspace, *, objects: bool) -> Host | None:
    """What reaches the providers of a workspace that has no host of its own, and its hooks; None: nothing to reach."""
    if objects:
        return _Elsewhere(workspace.source)
    database = workspace.database
    directory = workspace.repository if database is None else database.parent
    host = provider_host(workspace.config, (), directory, workspace.seams)
    return host if host.hooks else None


class _Elsewhere:
    """Providers that live in some other program: nobody here can ask them."""

    def __init__(self, source: str) -> None:
        self._source = source

    def session(self) -> _Elsewhere:
        """See `Host.session`."""
        return self

    def hold(self, *, recovery: bool = False) -> None:
        """See `HostSession.hold`: nothing is held."""

    def let_go(self) -> Pause:
        """See `HostSession.let_go`."""
        return NOT_HELD

    def capture(self, directory: str) -> Captured:
        """See `HostSession.capture`; refused."""
        raise self._refusal()

    def restore(self, path: str) -> Restored:
        """See `HostSession.restore`; refused."""
        raise self._refusal()

    def close(self) -> None:
        """See `HostSession.close`."""

    def _refusal(self) -> SourceError:
        return SourceError(
            f"A part of {self._source} lives in another program, which alone can read it and put it back.",
            kept="Nothing was changed; every checkpoint can be listed, compared, verified and exported here.",
            hint="Save and recover in that program; --source names the rest of it alone.",
            source=self._source,
        )
