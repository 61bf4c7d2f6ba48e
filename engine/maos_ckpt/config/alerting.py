"""The configuration's tables about alerts and hooks; see `types`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from maos_ckpt.events import EVENT_TYPES, public_name
from maos_ckpt.model.alerts import AlertName

#: See `types`.
_SECRET = {"writeOnly": True}


class Alerts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an operator is alerted. Saves that take longer than performance.max_save_time_ms, damage, and drills that
    failed or are overdue raise an alert, too."""

    off: Annotated[
        tuple[AlertName, ...],
        Meta(
            max_length=20,
            description="Alerts that are never raised.",
            extra={"wanted": f"a list of {', '.join(AlertName)}"},
        ),
    ] = ()
    checkpoint_age_intervals: Annotated[
        float,
        Meta(ge=1, le=10_000, description="Alert when the last checkpoint is older than so many intervals."),
    ] = 5.0
    error_rate: Annotated[
        float,
        Meta(ge=0, le=1, description="Alert when more than this share of an hour's operations failed, and three did."),
    ] = 0.1
    spool_age_seconds: Annotated[
        float, Meta(ge=1, le=31_536_000, description="Alert when a checkpoint waits for S3 for longer than this.")
    ] = 3600.0
    disk_free_bytes: Annotated[
        int,
        Meta(ge=0, le=1 << 60, description="Alert when fewer bytes are free on the repository's disk; 0: never."),
    ] = 1 << 30
    repeat_hours: Annotated[
        float,
        Meta(ge=0, le=8760, description="An alert that nobody acknowledged is told again so often; 0: once."),
    ] = 4.0


_EventNames = Annotated[
    tuple[Annotated[str, Meta(pattern=f"^({'|'.join(map(public_name, EVENT_TYPES))})$")], ...],
    Meta(
        max_length=50,
        description="Events that are sent, by name.",
        extra={"wanted": "a list of events such as checkpointCreated, recoveryCompleted, operationFailed, alertRaised"},
    ),
]
_ALERT_EVENTS = ("alertRaised", "alertCleared")
_URL = "^(|https?://[!-~]+)$"
_WANTED_URL = {"wanted": "http(s)://HOST[:PORT]/PATH"}


class Hooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who else is told of events. What is told waits in the journal, and is sent again until it arrives or the budget
    is spent; a hook that fails holds up nothing."""

    webhook_url: Annotated[
        str,
        Meta(
            max_length=2048,
            pattern=_URL,
            description="Events are sent there as JSON with POST, signed as Standard Webhooks does; empty: none.",
            extra=_WANTED_URL,
            extra_json_schema=_SECRET,
        ),
    ] = ""
    webhook_secret: Annotated[
        str,
        Meta(
            max_length=4096,
            pattern="^(|env:[A-Z_][A-Z0-9_]*|file:(?s:.+))$",
            description="Where the secret that signs them is: env:NAME or file:PATH; empty: unsigned.",
            extra={"wanted": "env:NAME, with NAME in capitals, or file:PATH"},
            extra_json_schema=_SECRET,
        ),
    ] = ""
    webhook_events: _EventNames = _ALERT_EVENTS
    command: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=4096)], ...],
        Meta(
            max_length=100,
            description="A program with its arguments, run without a shell for each event, which it reads as JSON, in"
            " the directory that the repository lies in.",
        ),
    ] = ()
    command_events: _EventNames = _ALERT_EVENTS
    command_timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="The command is ended, and counts as failed, after this long.")
    ] = 30.0
    heartbeat_url: Annotated[
        str,
        Meta(
            max_length=2048,
            pattern=_URL,
            description="Asked with GET after every save, with /fail added after a failed one and /start before each,"
            " as healthchecks.io and its like want it; empty: none.",
            extra=_WANTED_URL,
            extra_json_schema=_SECRET,
        ),
    ] = ""
    budget_seconds: Annotated[
        float, Meta(ge=1, le=86_400, description="How long one event is tried to be sent before it is given up.")
    ] = 300.0
