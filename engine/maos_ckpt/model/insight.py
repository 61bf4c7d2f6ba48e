"""What is found out about checkpoints without changing anything: frozen values, standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Match:
    """A record that holds a text, and for how long it did: from checkpoint `first` to `last`, `checkpoints` of them.

    `gone` is the first checkpoint without it, None where the newest one searched has it. `since_at_least`: the oldest
    one searched has it, so it may be older. `field` is a column, or `key`; `excerpt` shows the place (untrusted).
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
    gone: str | None
    gone_at_ms: int | None
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


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that does not happen while all is well, and has not been made good since.

    Args:
        what: `failed`, `removed`, `rewritten`, `turns lost`, `lines lost` or `errors reported`.
        detail: the status that records turned to, or the field that was rewritten; "" otherwise.
        total: the records that the collection had before.
        examples: the keys of some of the `count` records (untrusted); of lines, their files.
    """

    what: str
    component: str
    collection: str
    detail: str
    count: int
    total: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Incident:
    """When it went wrong: after the checkpoint `after`, and before `before` (or `live`)."""

    after: str
    before: str
    from_ms: int
    to_ms: int
    signs: tuple[Sign, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """What is to be said about going back to one checkpoint: sentences, which quote keys (untrusted).

    `lost` counts by kind what has been done since and is lost then; `lost_s` is the time that passed since.
    """

    checkpoint: str
    created_at_ms: int
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    lost: dict[str, int]
    lost_s: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The checkpoint to go back to; None where none can be recommended. `asked` is about the one that was asked for.

    `looked_at` checkpoints were compared with their neighbours; `complete` where all of them could be.
    """

    recommended: Advice | None
    asked: Advice | None
    incident: Incident | None
    looked_at: int
    complete: bool
