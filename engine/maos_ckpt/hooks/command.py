"""The command hook: a program of the operator's, run for each event."""

from __future__ import annotations

from pathlib import Path

from maos_ckpt.config.alerting import Hooks
from maos_ckpt.environment import harmless_environment
from maos_ckpt.events import public_name
from maos_ckpt.hooks.message import event_id, message
from maos_ckpt.journal import Entry
from maos_ckpt.processes import Processes
from maos_ckpt.sources.commands import run_command


def run(hooks: Hooks, source: str, directory: Path, processes: Processes, entry: Entry) -> str:
    """One attempt; what went wrong, or "". The event is JSON on the program's standard input; MAOS_EVENT and
    MAOS_EVENT_ID name it. Nothing of an event stands among the arguments."""
    environment = harmless_environment() | {"MAOS_EVENT": public_name(entry[0]), "MAOS_EVENT_ID": event_id(entry)}
    body = message(entry, source) + b"\n"
    return run_command(
        hooks.command, directory, hooks.command_timeout_s, processes, given=body, environment=environment
    )
