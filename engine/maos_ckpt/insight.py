"""What is found out about checkpoints without changing anything: frozen values, standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Match:
    """A record that holds a text, and for how long it did: from checkpoint `first` to `last`, `checkpoints` of them.

    `gone` is the first checkpoint without it, "" where the newest one searched has it. `since_at_least`: the oldest one
    searched has it, so it may be older. `field` is a column, or `key`; `excerpt` shows the place (untrusted).
    """

    component: str
    collection: str
    key: str
    field: str
    excerpt: str
    first: str
    first_at_ms: int
    last: str
    last_at_ms: int
    gone: str
    gone_at_ms: int
    checkpoints: int
    since_at_least: bool


@dataclass(frozen=True, slots=True)
class FindResult:
    """Where a text was found. `truncated`: of some collections only the first records in key order were followed.

    `bytes` were searched. `unread` are checkpoints of which a part cannot be read: a record may look gone there.
    """

    text: str
    matches: tuple[Match, ...]
    truncated: bool
    checkpoints: int
    bytes: int
    unread: tuple[str, ...] = ()
