"""The hooks that a configuration names, each with the events that it is told of and the way to tell it of one."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.config.alerting import Hooks
from maos_ckpt.events import EVENT_TYPES, public_name
from maos_ckpt.hooks import command, webhook
from maos_ckpt.hooks.courier import Send
from maos_ckpt.seams import Seams


@dataclass(frozen=True, slots=True)
class Hook:
    """`name` is that of its file beside the journal; `events` are names of event classes; `send` makes one attempt."""

    name: str
    events: frozenset[str]
    send: Send


def hooks_of(hooks: Hooks, source: str, directory: Path, seams: Seams) -> list[Hook]:
    """Those that take events from the journal.

    Args:
        source: the source's spec, which messages name.
        directory: where the command is run.
    """
    found = []
    if hooks.webhook_url:
        send = functools.partial(webhook.send, hooks, source, seams.clock)
        found.append(Hook("webhook", _named(hooks.webhook_events), send))
    if hooks.command:
        run = functools.partial(command.run, hooks, source, directory, seams.processes)
        found.append(Hook("command", _named(hooks.command_events), run))
    return found


def _named(events: tuple[str, ...]) -> frozenset[str]:
    return frozenset(one for one in EVENT_TYPES if public_name(one) in events)
