"""What a command gets: its arguments, the settings, the workspace, and ways to print and to report progress."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from maos_ckpt.cli.output import Output
from maos_ckpt.cli.progress import ProgressLine
from maos_ckpt.config import Settings, load
from maos_ckpt.environment import expanded, log_file
from maos_ckpt.errors import CkptError, NotFoundError, PermissionRefusedError, read_only_refusal
from maos_ckpt.logs import log_to, parse_level, set_levels
from maos_ckpt.safe_text import safe_text
from maos_ckpt.seams import SYSTEM, Seams

if TYPE_CHECKING:
    from maos_ckpt.cli.main import Console
    from maos_ckpt.operations.workspace import Workspace

_LOG = logging.getLogger(__name__)
#: What a person at a command gets: only warnings are shown then.
_NOTICE_FORMAT = "warning: %(message)s"
#: How the console looks; a demo's has these, too.
CONSOLE_FLAGS = {
    "--theme": ("theme", "console.theme"),
    "--ascii": ("ascii", "console.ascii"),
    "--low-bandwidth": ("low_bandwidth", "console.low_bandwidth"),
    "--mouse": ("mouse", "console.mouse"),
}
#: Option → (its place in the parsed arguments, the setting it overrides).
_FLAGS = {
    "--repo": ("repo", "storage.local.path"),
    "--source": ("source", "sources"),
    "--claude-home": ("claude_home", "claude_home"),
    "--read-only": ("read_only", "read_only"),
    "--log-level": ("log_level", "log_level"),
    "--s3-endpoint": ("s3_endpoint", "storage.s3.endpoint_url"),
    "--system": ("system", "system"),
    "--interval": ("interval", "interval_seconds"),
    "--listen": ("listen", "server.listen"),
    **CONSOLE_FLAGS,
}


class Context:
    """One command's surroundings."""

    def __init__(self, arguments: argparse.Namespace, command: str, console: Console) -> None:
        self.arguments = arguments
        self.command = command
        self.console = console
        self.seams: Seams = SYSTEM
        self.out = Output(as_json=arguments.json)

    @cached_property
    def cwd(self) -> Path:
        """The working directory.

        Raises:
            NotFoundError: it has been removed.
        """
        try:
            return Path.cwd()
        except FileNotFoundError as error:
            raise NotFoundError(
                "The working directory no longer exists.", hint="Change to another directory and try again."
            ) from error

    def typed(self, options: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, object]]:
        """The settings that were given as options: key path → (option, value)."""
        values = {option: (path, getattr(self.arguments, name, None)) for option, (name, path) in options.items()}
        return {path: (option, value) for option, (path, value) in values.items() if value not in (None, False, [])}

    @cached_property
    def settings(self) -> Settings:
        """Flags over environment over file over defaults."""
        flags = self.typed(_FLAGS)
        if self.command == "demo":
            flags.pop("interval_seconds", None)  # The demo has an interval of its own, which is no setting.
        return load(cwd=self.cwd, file=self.arguments.config, flags=flags)

    def read_settings_again(self) -> Settings:
        """The settings as they are now, which count from now on; logging follows them.

        Raises:
            ConfigError, UsageError, PermissionRefusedError: they are wrong; those from before stay.
        """
        before = self.__dict__.pop("settings", None)
        try:
            now = self.settings
            set_levels(now.config.log_level, dict(parse_level(one) for one in now.config.log_levels))
        except CkptError:
            if before is not None:
                self.__dict__["settings"] = before
            raise
        return now

    @cached_property
    def workspace(self) -> Workspace:
        """Repository and source."""
        from maos_ckpt.operations.locate import locate

        return locate(self.settings, self.cwd, self.seams, self.ask_passphrase if self.on_terminal else None)

    def refuse_if_read_only(self, operation: str) -> None:
        """Stop what would change something where the settings forbid it; an attached engine looks for itself.

        Raises:
            PermissionRefusedError: `read_only` is set.
        """
        if self.settings.config.read_only:
            raise read_only_refusal(operation)

    def progress(self) -> ProgressLine:
        """A progress line on standard error, silent where that is no terminal; a context manager."""
        return ProgressLine(sys.stderr, self.seams.clock)

    def configure_logging(self) -> None:
        """Log to standard error; where no level is configured, one-shot commands keep quiet below warnings."""
        headless = getattr(self.arguments, "headless", False)
        handler = logging.StreamHandler(sys.stderr)
        try:
            settings = self.settings
            origin, exposed = settings.origins["log_level"], settings.exposed_secrets()
        except CkptError:
            # A configuration that is wrong is reported by the command, if it needs one.
            log_to(handler, "warning", form=_NOTICE_FORMAT)
            return
        if headless or origin != "default":
            self.apply_logging(handler)
        else:
            log_to(handler, "warning", form=_NOTICE_FORMAT, secrets=settings.secrets())
        if exposed:
            _LOG.warning("%s holds %s, and others may read it: chmod 600", settings.file, ", ".join(exposed))

    def apply_logging(self, handler: logging.Handler) -> None:
        """Log as the settings say.

        Raises:
            UsageError: they name an area that there is not.
        """
        config = self.settings.config
        log_to(
            handler,
            config.log_level,
            levels=config.log_levels,
            as_json=config.log_format == "json",
            secrets=self.settings.secrets(),
        )

    def log_to_file(self) -> None:
        """Log to a file from now on, since the screen belongs to the console."""
        path = log_file()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handler: logging.Handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
        except OSError:
            handler = logging.NullHandler()
        self.apply_logging(handler)

    def stop_on_signals(self) -> None:
        """Let SIGTERM and a lost terminal end a command the way Ctrl-C does, with everything cleaned up."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _interrupt)

    @property
    def on_terminal(self) -> bool:
        """Whether a person can be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def width(self) -> int | None:
        """Columns of the terminal that standard output is, or None: lines for programs are never cut."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def confirmed(self, question: str) -> bool:
        """Whether the person at the terminal says yes; anything else is no."""
        sys.stdout.flush()
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        # Not `input`, which would write its prompt among the data on standard output.
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def ask_passphrase(self, of: str, new: bool) -> str:
        """The passphrase of a repository that the person at the terminal types, unseen; a new one twice.

        Raises:
            PermissionRefusedError: none was given, or two different ones.
        """
        import getpass

        sys.stdout.flush()
        try:
            prompt = ("New passphrase" if new else "Passphrase") + (f" of {safe_text(of)}" if of else "")
            text = getpass.getpass(f"{prompt}: ", sys.stderr)
            again = getpass.getpass("The same again: ", sys.stderr) if new else text
        except EOFError:
            text = again = ""
        if text != again or not text:
            what = "No passphrase was given." if text == again else "The two passphrases differ."
            raise PermissionRefusedError(what, kept="Nothing was read or changed.", hint="Run the command again.")
        return text

    @property
    def screen(self) -> bool:
        """Whether a console can be shown."""
        from maos_ckpt.environment import terminal_type

        return sys.stdin.isatty() and sys.stdout.isatty() and terminal_type() not in ("", "dumb", "unknown")

    def path(self, text: str) -> Path:
        """A path as typed, made absolute.

        Raises:
            UsageError: it begins with the home of a user who does not exist.
        """
        return Path(os.path.abspath(self.cwd / expanded(text)))


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
