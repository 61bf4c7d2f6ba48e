"""Which checkpoints stay: a pure function from what there is and the policy to kept and removed ones, with reasons.

Order and number follow sequence numbers, never a clock. The hours, days and weeks of the bucket rules are those of the
checkpoints' own creation times (UTC), so a clock that jumped could make buckets too many or too few:

- A clock that was set back gives newer checkpoints earlier times. Those that lie before an older one's time, or in the
  future of now, are *out of order*: they are not counted against a rule, and have the same number of buckets besides.
- A clock that was set forward looks like a machine that was off: it costs one bucket at most.
- The age of a safety checkpoint grows by no more than a day for each checkpoint taken since.

So a wrong clock keeps more, up to twice a rule's number, and never makes room for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from maos_ckpt.model import Checkpoint, CheckpointState, Trigger

#: Safety checkpoints stay while they are among so many newest …
SAFETY_KEPT = 10
#: … or younger than this.
SAFETY_KEPT_S = 7 * 86_400
#: Between one checkpoint and the next no more than this counts as their difference in age: the longest interval of a
#: schedule.
STEP_S_MAX = 86_400
_HOUR_S = 3600
_DAY_S = 86_400
#: 1970-01-01 was a Thursday; weeks begin on Mondays.
_WEEK_OFFSET_S = 3 * _DAY_S


@dataclass(frozen=True, slots=True)
class Rules:
    """What is kept beyond the newest ones: the newest of each of so many hours, days and weeks, and what has a tag.

    `waiting` gives the bytes of each checkpoint (by id) that the remote copy does not have yet, and `spool_bytes_max`
    how many bytes of those are kept beyond the policy.
    """

    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    tags: tuple[str, ...] = ()
    waiting: Mapping[str, int] = field(default_factory=dict)
    spool_bytes_max: int = 0


@dataclass(frozen=True, slots=True)
class Retention:
    """Which checkpoints stay and which go, each with the reason: id → reason.

    `yielding` are those kept ones, oldest first, that may make room where space runs out; `overflowed` those removed
    ones, oldest first, that the remote copy does not have and the spool had no room for.
    """

    kept: dict[str, str]
    removed: dict[str, str]
    yielding: tuple[str, ...] = ()
    overflowed: tuple[str, ...] = ()


def retention(
    checkpoints: Sequence[Checkpoint],
    keep_last: int,
    held: Mapping[str, str],
    now_ms: int,
    rules: Rules | None = None,
) -> Retention:
    """What the policy says of these checkpoints (newest first). `keep_last` 0 keeps all.

    Scheduled checkpoints that found nothing changed repeat an older one; they are not counted, and only the newest
    checkpoint of all stays although it is one. Else an idle night would push out every state of the day before. Nor are
    safety checkpoints, which have their own number and age, pinned ones, and those known to be damaged: what cannot be
    restored must not take the place of what can.

    Args:
        held: id → reason, for checkpoints that stay whatever the policy says.
    """
    rules = rules or Rules()
    lasting = _lasting(checkpoints, held, rules, now_ms)
    counted = _counted(checkpoints, keep_last, rules, now_ms)
    waiting = _spooled(checkpoints, rules)
    kept: dict[str, str] = {}
    removed: dict[str, str] = {}
    yielding: list[str] = []
    overflowed: list[str] = []
    for number, one in enumerate(checkpoints):
        newest = "the newest" if number == 0 else None
        reason = lasting.get(one.id) or counted.get(one.id) or newest or waiting.get(one.id)
        if reason is None:
            removed[one.id] = _why_removed(one, keep_last, rules)
            if one.id in rules.waiting:
                overflowed.append(one.id)
            continue
        kept[one.id] = reason
        if number and one.id not in lasting and one.id not in waiting:
            yielding.append(one.id)
    return Retention(kept, removed, tuple(reversed(yielding)), tuple(reversed(overflowed)))


def _lasting(checkpoints: Sequence[Checkpoint], held: Mapping[str, str], rules: Rules, now_ms: int) -> dict[str, str]:
    """What stays even where space runs out."""
    reasons: dict[str, str] = {}
    ages_s = _ages_s(checkpoints, now_ms)
    safeties = 0
    for one in checkpoints:
        safeties += one.trigger is Trigger.SAFETY
        tag = next((tag for tag in rules.tags if tag in one.tags), None)
        if _is_pinned(one):
            reasons[one.id] = "pinned"
        elif one.id in held:
            reasons[one.id] = held[one.id]
        elif tag is not None:
            reasons[one.id] = f"tagged {tag}"
        elif one.trigger is Trigger.SAFETY and safeties <= SAFETY_KEPT:
            reasons[one.id] = f"one of the last {SAFETY_KEPT} safety checkpoints"
        elif one.trigger is Trigger.SAFETY and ages_s[one.id] < SAFETY_KEPT_S:
            reasons[one.id] = f"a safety checkpoint of the last {SAFETY_KEPT_S // _DAY_S} days"
    return reasons


def _counted(checkpoints: Sequence[Checkpoint], keep_last: int, rules: Rules, now_ms: int) -> dict[str, str]:
    """What the rules that count keep."""
    if keep_last == 0:
        return dict.fromkeys((one.id for one in checkpoints), "no limit is set")
    reasons: dict[str, str] = {}
    ordered = _in_order(checkpoints, now_ms)
    buckets = [
        _Buckets("hour", rules.hourly, lambda at_s: at_s // _HOUR_S),
        _Buckets("day", rules.daily, lambda at_s: at_s // _DAY_S),
        _Buckets("week", rules.weekly, lambda at_s: (at_s + _WEEK_OFFSET_S) // (7 * _DAY_S)),
    ]
    number = 0
    for one in checkpoints:
        if one.trigger is Trigger.SAFETY or _is_pinned(one) or _repeats(one):
            continue
        if one.state is CheckpointState.DAMAGED:
            if number < keep_last:
                reasons[one.id] = f"damaged, and not counted among the last {keep_last}"
            continue
        number += 1
        # Every rule sees every checkpoint: the newest of an hour is that also where it is one of the last ones.
        found = [bucket.reason(one, ordered=one.id in ordered) for bucket in buckets]
        if number <= keep_last:
            reasons[one.id] = f"one of the last {keep_last}"
        elif any(found):
            reasons[one.id] = ", ".join(reason for reason in found if reason)
    return reasons


class _Buckets:
    """One rule: the newest checkpoint of each of `number` stretches of time, and of as many again out of order."""

    def __init__(self, word: str, number: int, bucket: Callable[[int], int]) -> None:
        self._word = word
        self._number = number
        self._bucket = bucket
        self._seen: dict[bool, set[int]] = {True: set(), False: set()}

    def reason(self, checkpoint: Checkpoint, *, ordered: bool) -> str:
        """Why this rule keeps the next older checkpoint, or ""."""
        seen = self._seen[ordered]
        bucket = self._bucket(checkpoint.created_at_ms // 1000)
        if len(seen) >= self._number or bucket in seen:
            return ""
        seen.add(bucket)
        beside = "" if ordered else ", by a clock that was wrong"
        return f"the newest of its {self._word}{beside}"


def _in_order(checkpoints: Sequence[Checkpoint], now_ms: int) -> set[str]:
    """Ids of the checkpoints whose times rise as their numbers do, up to now.

    What one is depends on older ones alone, so no newer checkpoint brings back what was out.
    """
    found = set()
    latest_ms = 0
    for one in reversed(checkpoints):
        if latest_ms <= one.created_at_ms <= now_ms:
            found.add(one.id)
            latest_ms = one.created_at_ms
    return found


def _ages_s(checkpoints: Sequence[Checkpoint], now_ms: int) -> dict[str, float]:
    """How old each one is at least, by the steps from each to the next newer one, in seconds."""
    ages: dict[str, float] = {}
    age_s = 0.0
    newer_ms, newer_seq = now_ms, checkpoints[0].seq + 1 if checkpoints else 0
    for one in checkpoints:
        step_s = (newer_ms - one.created_at_ms) / 1000
        age_s += min(max(step_s, 0.0), (newer_seq - one.seq) * STEP_S_MAX)
        ages[one.id] = age_s
        newer_ms, newer_seq = one.created_at_ms, one.seq
    return ages


def _spooled(checkpoints: Sequence[Checkpoint], rules: Rules) -> dict[str, str]:
    """What stays because the remote copy does not have it, as far as the spool's bytes go: newest first, and what
    somebody asked for before what the schedule took."""
    waiting = [one for one in checkpoints if one.id in rules.waiting]
    asked = [one for one in waiting if one.trigger is not Trigger.SCHEDULE]
    left_bytes = rules.spool_bytes_max - sum(rules.waiting[one.id] for one in asked)
    reasons = dict.fromkeys((one.id for one in asked), "not replicated yet")
    for one in waiting:
        if one.trigger is Trigger.SCHEDULE:
            left_bytes -= rules.waiting[one.id]
            if left_bytes < 0:
                break
            reasons[one.id] = "not replicated yet"
    return reasons


def _is_pinned(checkpoint: Checkpoint) -> bool:
    """A safety checkpoint is pinned when it is taken, for as long as its own rule says; by a person, for ever."""
    return checkpoint.pinned and (checkpoint.marked or checkpoint.trigger is not Trigger.SAFETY)


def _repeats(checkpoint: Checkpoint) -> bool:
    return checkpoint.trigger is Trigger.SCHEDULE and checkpoint.capture.unchanged and not checkpoint.tags


def _why_removed(checkpoint: Checkpoint, keep_last: int, rules: Rules) -> str:
    if checkpoint.id in rules.waiting:
        return f"not replicated yet, but the spool's {rules.spool_bytes_max:,} bytes are full"
    if checkpoint.trigger is Trigger.SAFETY:
        return f"a safety checkpoint older than {SAFETY_KEPT_S // _DAY_S} days and not one of the last {SAFETY_KEPT}"
    if _repeats(checkpoint):
        return "nothing had changed: it repeats the one before it"
    named = [f"{n} {word}s" for word, n in (("hour", rules.hourly), ("day", rules.daily), ("week", rules.weekly)) if n]
    beyond = f", nor the newest of one of the last {' or '.join(named)}" if named else ""
    return f"not one of the last {keep_last}{beyond}"
