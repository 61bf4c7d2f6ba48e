"""Journal entries as sentences.

The names are those of `maos_ckpt.events.EVENT_TYPES`; one that this version does not know is shown by its name, since a
newer engine may write it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from maos_ckpt.model import RESCUE
from maos_ckpt.model.alerts import CRITICAL
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.viewmodel import short

Fields = Mapping[str, object]
Sentence = tuple[str, str]
_NUMBER_MAX = 1 << 62


def at_ms(fields: Fields) -> int:
    """When it happened; 0 where the entry does not say."""
    return _int(fields, "at_ms")


def sentence(name: str, fields: Fields) -> Sentence:
    """(tone, sentence) of one journal entry; the sentence holds untrusted text."""
    teller = _TELLERS.get(name)
    return teller(fields) if teller else ("dim", name)


def _int(fields: Fields, key: str) -> int:
    value = fields.get(key)
    return int(value) if isinstance(value, int | float) and sensible(value) else 0


def sensible(value: float) -> bool:
    """Whether a number of the journal, which may hold any, is one that can be worked with."""
    return -_NUMBER_MAX <= value <= _NUMBER_MAX


def _seconds(fields: Fields, key: str) -> str:
    value = fields.get(key)
    return fmt.duration(float(value)) if isinstance(value, int | float) and sensible(value) else "?"


def _text(fields: Fields, key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def _short(fields: Fields, key: str = "checkpoint") -> str:
    return short(_text(fields, key)) or "?"


def _started(fields: Fields) -> Sentence:
    interval = fields.get("interval_s")
    every = f", a checkpoint every {_seconds(fields, 'interval_s')}" if interval else ""
    return "dim", f"Engine started{every}"


def _created(fields: Fields) -> Sentence:
    facts = f"{fmt.size(_int(fields, 'stored_bytes'))} in {_seconds(fields, 'duration_s')}"
    if fields.get("unchanged"):
        return "dim", f"Saved {_short(fields)}: {facts}, nothing had changed"
    return "plain", f"Saved {_short(fields)}: {facts}, {fmt.plural(_int(fields, 'records'), 'record')}"


def _replicated(fields: Fields) -> Sentence:
    ids = fields.get("checkpoints")
    names = [one for one in ids if isinstance(one, str)] if isinstance(ids, list | tuple) else []
    what = short(names[0]) if len(names) == 1 else fmt.plural(len(names), "checkpoint")
    return "dim", f"S3 has {what} now: {fmt.size(_int(fields, 'bytes_sent'))} sent"


def _stalled(fields: Fields) -> Sentence:
    told = _text(fields, "message")
    if fields.get("kind") == "permission":
        return "bad", f"XX S3 refuses, saves go on: {told}"
    return "warn", f"!! S3 gets nothing for now, saves go on: {told}"


def _missed(fields: Fields) -> Sentence:
    return "warn", f"!! {fmt.plural(_int(fields, 'count'), 'scheduled save')} missed: {_text(fields, 'reason')}"


def _failed(fields: Fields) -> Sentence:
    return "bad", f"XX {_text(fields, 'operation').capitalize()} failed: {_text(fields, 'message')}"


def _recovered(fields: Fields) -> Sentence:
    what = "Recovery taken back to" if fields.get("undo") else "Recovered"
    name = _short(fields)
    if fields.get("checkpoint") == RESCUE:
        what, name = "Mended", "what a crash left behind"
    verified = bool(fields.get("verified"))
    facts = f"{fmt.plural(_int(fields, 'changes'), 'change')} in {_seconds(fields, 'duration_s')}"
    reason = f" ({reason})" if (reason := _text(fields, "reason")) else ""
    if verified:
        return "ok", f"OK {what} {name}, verified: {facts}{reason}"
    return "bad", f"XX {what} {name}, NOT verified: {facts}{reason}"


def _resumed(fields: Fields) -> Sentence:
    return "warn", f"!! An interrupted recovery of {_short(fields)} was {_text(fields, 'outcome')}"


def _removed(fields: Fields) -> Sentence:
    removed = fields.get("checkpoints")
    number = len(removed) if isinstance(removed, list | tuple) else 0
    freed = fmt.size(_int(fields, "bytes_freed"))
    return "dim", f"{fmt.plural(number, 'checkpoint')} removed ({_text(fields, 'cause')}), {freed} freed"


def _marked(fields: Fields) -> Sentence:
    return "dim", f"Checkpoint {_short(fields)} {'pinned' if fields.get('pinned') else 'marked, not pinned'}"


def _verified(fields: Fields) -> Sentence:
    read = f"{fmt.plural(_int(fields, 'objects'), 'object')}, {fmt.size(_int(fields, 'bytes'))} read"
    if fields.get("ok"):
        return "ok", f"OK Verified ({_text(fields, 'level')}): {read}"
    return (
        "bad",
        f"XX Verification ({_text(fields, 'level')}) found {fmt.plural(_int(fields, 'findings'), 'fault')}: {read}",
    )


def _overflowed(fields: Fields) -> Sentence:
    removed = fields.get("checkpoints")
    number = len(removed) if isinstance(removed, list | tuple) else 0
    waiting, most = fmt.size(_int(fields, "waiting_bytes")), fmt.size(_int(fields, "bytes_max"))
    return "bad", f"XX {fmt.plural(number, 'checkpoint')} went without reaching S3: {waiting} waited, {most} may"


def _beyond(fields: Fields) -> Sentence:
    stored, most = fmt.size(_int(fields, "stored_bytes")), fmt.size(_int(fields, "bytes_max"))
    return "warn", f"!! The repository takes {stored}, more than {most}; nothing in it may make room"


def _compacted(fields: Fields) -> Sentence:
    before, after = fmt.size(_int(fields, "bytes_before")), fmt.size(_int(fields, "bytes_after"))
    return "dim", f"{fmt.plural(_int(fields, 'packs'), 'pack')} compacted: {before} to {after}"


def _drilled(fields: Fields) -> Sentence:
    played, failed = fields.get("scenarios"), fields.get("failed")
    number = len(played) if isinstance(played, list | tuple) else 0
    if fields.get("passed"):
        facts = f"{fmt.plural(number, 'scenario')}, RTO {_seconds(fields, 'rto_s')}"
        return "ok", f"OK Drill of {_short(fields)} passed: {facts}"
    names = [one for one in failed if isinstance(one, str)] if isinstance(failed, list | tuple) else []
    if not names:
        return "warn", f"!! Drill of {_short(fields)} rehearsed nothing: no scenario applied"
    return "bad", f"XX Drill of {_short(fields)} FAILED: {', '.join(names)}"


def _asked(fields: Fields) -> Sentence:
    hits, misses = _int(fields, "hits"), _int(fields, "misses")
    return "dim", f"The cache answered {fmt.count(hits)} of {fmt.plural(hits + misses, 'read')} from S3"


def _raised(fields: Fields) -> Sentence:
    sign, tone = ("XX", "bad") if fields.get("severity") == CRITICAL else ("!!", "warn")
    still = "still " if fields.get("repeated") else ""
    return tone, f"{sign} Alert {_text(fields, 'alert')} {still}stands: {_text(fields, 'message')}"


def _cleared(fields: Fields) -> Sentence:
    return "ok", f"OK Alert {_text(fields, 'alert')} cleared, after {_seconds(fields, 'lasted_s')}"


_TELLERS: dict[str, Callable[[Fields], Sentence]] = {
    "EngineStarted": _started,
    "EngineStopped": lambda _: ("dim", "Engine stopped"),
    "CheckpointCreated": _created,
    "CheckpointsReplicated": _replicated,
    "ReplicationStalled": _stalled,
    "SpoolOverflowed": _overflowed,
    "SpaceBoundExceeded": _beyond,
    "PacksCompacted": _compacted,
    "TicksMissed": _missed,
    "OperationFailed": _failed,
    "RecoveryCompleted": _recovered,
    "RecoveryResumed": _resumed,
    "CheckpointsRemoved": _removed,
    "CheckpointMarked": _marked,
    "VerificationCompleted": _verified,
    "DrillCompleted": _drilled,
    "CacheAsked": _asked,
    "AlertRaised": _raised,
    "AlertCleared": _cleared,
}
