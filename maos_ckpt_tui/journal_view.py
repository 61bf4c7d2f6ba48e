"""The journal as one reads it: kinds, problems, what to do, and an entry's fields in full. No Textual in here."""

from __future__ import annotations

import json

from maos_ckpt.model.alerts import RUNBOOKS, AlertName
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.sentences import Fields, at_ms, sensible, sentence

Entry = tuple[str, dict[str, object]]

#: Kind → (what it is called, the names of its events); what no kind has is `other`.
KINDS: dict[str, tuple[str, frozenset[str]]] = {
    "save": ("Saves", frozenset({"CheckpointCreated", "TicksMissed"})),
    "recover": ("Recoveries", frozenset({"RecoveryCompleted", "RecoveryResumed"})),
    "check": ("Checks and drills", frozenset({"VerificationCompleted", "DrillCompleted"})),
    "remote": (
        "Remote copy",
        frozenset({"CheckpointsReplicated", "ReplicationStalled", "SpoolOverflowed", "CacheAsked"}),
    ),
    "upkeep": ("Upkeep", frozenset({"CheckpointsRemoved", "CheckpointMarked", "PacksCompacted", "SpaceBoundExceeded"})),
    "alert": ("Alerts", frozenset({"AlertRaised", "AlertCleared"})),
    "engine": ("Engine", frozenset({"EngineStarted", "EngineStopped"})),
    "failure": ("Failures", frozenset({"OperationFailed"})),
}
OTHER = "other"
#: A field's name in a journal that somebody else wrote may be of any length.
LABEL_CHARACTERS_MAX = 20
_OF = {name: kind for kind, (_, names) in KINDS.items() for name in names}
#: What a problem that is no alert calls for: the runbook of the alert that it would end in.
_CALLS_FOR = {
    "OperationFailed": AlertName.ERROR_RATE,
    "TicksMissed": AlertName.SAVE_TIME,
    "ReplicationStalled": AlertName.SPOOL_AGE,
    "SpoolOverflowed": AlertName.SPOOL_AGE,
    "SpaceBoundExceeded": AlertName.DISK_SPACE,
    "VerificationCompleted": AlertName.INTEGRITY,
    "DrillCompleted": AlertName.DRILL,
}
_TIMES = frozenset({"at_ms", "since_ms", "until_ms"})


def kind_of(name: str) -> str:
    """The kind of an event."""
    return _OF.get(name, OTHER)


def is_problem(entry: Entry) -> bool:
    """Whether somebody should look at it."""
    return sentence(*entry)[0] in ("warn", "bad")


def runbook(name: str, fields: Fields) -> str:
    """What to do about an entry; "" where nothing is to be done."""
    own = fields.get("runbook")
    if isinstance(own, str) and own:
        return own
    if not is_problem((name, dict(fields))):
        return ""
    alert = _CALLS_FOR.get(name)
    return RUNBOOKS[alert] if alert is not None else ""


def checkpoint_of(fields: Fields) -> str:
    """The checkpoint that an entry is about, "" where there is none or more than one."""
    one, several = fields.get("checkpoint"), fields.get("checkpoints")
    if isinstance(one, str) and one.startswith("cp_"):
        return one
    if isinstance(several, list | tuple) and len(several) == 1 and isinstance(several[0], str):
        return several[0]
    return ""


def matches(entry: Entry, needle: str) -> bool:
    """Whether every word of a filter occurs in an entry: its name, sentence, time or any of its values."""
    name, fields = entry
    words = [name, kind_of(name), sentence(name, fields)[1], fmt.utc(at_ms(fields))]
    words += [shown(key, value) for key, value in fields.items() if key != "at_ms"]
    text = " ".join(words).casefold()
    return all(word in text for word in needle.casefold().split())


def shown(key: str, value: object) -> str:
    """A field's value in words, whole."""
    if isinstance(value, int | float) and not sensible(value):
        return "no sensible number"
    if key in _TIMES and isinstance(value, int):
        return fmt.utc(value)
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and key.endswith("_s"):
        return fmt.duration(float(value))
    if isinstance(value, int) and (key.startswith("bytes") or key.endswith(("_bytes", "bytes_max"))):
        return f"{fmt.size(value)} ({value:,} bytes)"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value) or "none"
    return json.dumps(value, ensure_ascii=False, default=str)


def in_full(name: str, fields: Fields) -> list[tuple[str, str, str]]:
    """(label, value, tone) of all that an entry says."""
    rows = [("event", name, "strong"), ("kind", KINDS[kind][0] if (kind := kind_of(name)) in KINDS else kind, "plain")]
    for key, value in fields.items():
        label = key.replace("_", " ").removesuffix(" ms").removesuffix(" s")
        rows.append((label[:LABEL_CHARACTERS_MAX], shown(key, value), "plain"))
    return rows


def as_text(name: str, fields: Fields) -> str:
    """One line that says it, with its time: what is copied."""
    return f"{fmt.utc(at_ms(fields))}  {name}  {sentence(name, fields)[1]}"
