"""The commands around a recovery: one that holds the system still, and one that lets it go on whatever happens."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import SourceError
from maos_ckpt.model import Progress
from maos_ckpt.recovery.steps import Step
from maos_ckpt.seams import Seams
from maos_ckpt.sources.commands import run_command
from maos_ckpt.sources.sqlite.guardian import Guardian

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Programs with their arguments, run without a shell; an empty one is none. Times in seconds."""

    quiesce_command: tuple[str, ...] = ()
    resume_command: tuple[str, ...] = ()
    quiesce_timeout_s: float = 30.0
    resume_timeout_s: float = 30.0


@dataclass(slots=True)
class Quiesced:
    """A system that is held still. Report progress to `progress`; after the block `notes` says what went wrong."""

    progress: ProgressSink
    notes: list[str] = field(default_factory=list)


@contextlib.contextmanager
def quiesced(hooks: Hooks, directory: Path, progress: ProgressSink, seams: Seams) -> Iterator[Quiesced]:
    """Run the quiesce command, then the block, then the resume command.

    The resume command is run also where one of the others failed; where this process is killed a guardian runs it.

    Raises:
        SourceError: the quiesce command failed or took too long, and the block was not begun.
    """
    found = Quiesced(progress)
    if not hooks.quiesce_command and not hooks.resume_command:
        yield found
        return
    with contextlib.closing(Guardian.start()) as guardian:

        def beating(step: Progress) -> None:
            guardian.beat()
            progress(step)

        found.progress = beating
        if hooks.resume_command:
            guardian.run_afterwards(hooks.resume_command, directory, hooks.resume_timeout_s)
        try:
            if hooks.quiesce_command:
                progress(Progress("recovery", "quiesce"))
                failed = run_command(hooks.quiesce_command, directory, hooks.quiesce_timeout_s, seams.processes)
                if failed:
                    raise SourceError(
                        f"The quiesce command {failed}.",
                        kept="Nothing live was changed.",
                        hint="Mend recovery.quiesce_command in the configuration, or take it out.",
                    )
            seams.steps.reached(Step.QUIESCED)
            yield found
        finally:
            failed = ""
            if hooks.resume_command:
                failed = run_command(hooks.resume_command, directory, hooks.resume_timeout_s, seams.processes)
            if failed:
                # The guardian tries once more when this process has let go of it.
                found.notes.append(f"The resume command {failed}; it is run once more.")
                _LOG.warning("%s", found.notes[-1])
            else:
                with contextlib.suppress(SourceError):
                    guardian.ran()
            seams.steps.reached(Step.RESUMED)
