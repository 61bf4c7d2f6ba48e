"""demo: a sample MAOS under live load, with its engine and console, in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from maos_ckpt.cli.commands.service import show_console, teller
from maos_ckpt.cli.context import CONSOLE_FLAGS, Context
from maos_ckpt.cli.sample import SampleMaos, require_maos
from maos_ckpt.cli.selecting import option
from maos_ckpt.cli.text import duration
from maos_ckpt.config import Settings, load
from maos_ckpt.config.load import FILE_NAME
from maos_ckpt.errors import ConflictError, ExitCode, UsageError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.safe_text import safe_text

#: Where nothing says how long the demo runs, the incident comes after so long.
INCIDENT_S = 12.0
#: At five seconds apart, the usual ten would lose the last good one within a minute of the incident.
_CHECKPOINTS_MAX = 200


def demo(context: Context) -> int:
    """`maos-ckpt demo`."""
    arguments = context.arguments
    if not arguments.headless and not context.screen:
        raise UsageError(
            "There is no terminal to show the console on.",
            hint="Run `maos-ckpt demo --headless`, which prints what happens as lines.",
        )
    require_maos()
    context.stop_on_signals()
    with _folder(context) as folder:
        work, claude_home = folder / "work", folder / "claude-home"
        if arguments.keep is not None:
            _write_configuration(work, claude_home)
        sample = SampleMaos(work, claude_home, arguments.seconds)
        with contextlib.closing(_Ending(sample)) as ending:
            sample.start()
            if arguments.incident:
                ending.schedule_incident((arguments.seconds or 2 * INCIDENT_S) / 2)
            return _run(context, _settings(context, work, claude_home))


@contextlib.contextmanager
def _folder(context: Context) -> Iterator[Path]:
    keep = context.arguments.keep
    if keep is None:
        folder = Path(tempfile.mkdtemp(prefix="maos-ckpt-demo-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    folder = context.path(keep)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise_storage_error(error, folder)
    if occupied:
        raise ConflictError(
            f"{folder} is not empty.", kept="Nothing was changed.", hint="Name an empty folder with --keep."
        )
    yield folder
    context.out.notice(
        f"The demo's MAOS and repository are kept; look into them from {safe_text(str(folder / 'work'))}"
    )


def _write_configuration(work: Path, claude_home: Path) -> None:
    """Say beside the MAOS where its transcripts are: commands given there later would look in the user's own home."""
    text = (
        f"# Of `maos-ckpt demo`.\nclaude_home = {json.dumps(str(claude_home))}\nmax_checkpoints = {_CHECKPOINTS_MAX}\n"
    )
    try:
        work.mkdir(mode=0o700)
        (work / FILE_NAME).write_text(text, encoding="utf-8")
    except OSError as error:
        raise_storage_error(error, work)


class _Ending:
    """Ends the sample, and the incident that may still be to come."""

    def __init__(self, sample: SampleMaos) -> None:
        self._sample = sample
        self._timer: threading.Timer | None = None

    def schedule_incident(self, in_s: float) -> None:
        self._timer = threading.Timer(in_s, self._sample.incident)
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._sample.stop()


def _settings(context: Context, work: Path, claude_home: Path) -> Settings:
    flags: dict[str, tuple[str, object]] = {
        "sources": ("demo", [f"maos:{work}"]),
        "claude_home": ("demo", str(claude_home)),
        "interval_seconds": ("--interval", context.arguments.interval),
        "max_checkpoints": ("demo", _CHECKPOINTS_MAX),
        **context.typed(CONSOLE_FLAGS),
    }
    # The user's own configuration is about another system; here only what was typed counts.
    if context.arguments.log_level:
        flags["log_level"] = ("--log-level", context.arguments.log_level)
    return load(cwd=work, flags=flags, variables={}, config_home=work)


def _run(context: Context, settings: Settings) -> int:
    from maos_ckpt.local import LocalClient
    from maos_ckpt.operations.locate import locate

    arguments = context.arguments
    workspace = locate(settings, Path(settings.config.sources[0].removeprefix("maos:")), context.seams)
    client = LocalClient(workspace)
    if not arguments.headless:
        where = [*option("--source", settings.config.sources), *option("--claude-home", [settings.config.claude_home])]
        return show_console(context, client, settings, where)
    from maos_ckpt.headless import run

    if not context.out.as_json:
        length = f"for {duration(arguments.seconds)}" if arguments.seconds else "until Ctrl-C"
        context.out.notice(f"A sample MAOS works in {safe_text(workspace.source)}; checkpoints follow {length}.")
    run(client, teller(context), seconds=arguments.seconds)
    return ExitCode.DONE
