"""Integrity as an operator reads it: coverage in words, and findings of the last verification or of what is marked. No
Textual in here."""

from __future__ import annotations

from collections.abc import Sequence

from maos_ckpt.model import Checkpoint, CheckpointState, EngineStatus, Finding, Severity, VerifyResult
from maos_ckpt.model.integrity import Coverage, IntegrityReport, VerificationRun
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_order import Verified
from maos_ckpt_tui.viewmodel import short

Span = tuple[str, str]
#: More damaged checkpoints are counted, not listed.
_LISTED_MAX = 500
_DAY_MS = 86_400_000
WHAT_LEVELS_READ = {
    "quick": "objects are there and of the right size",
    "standard": "every pack's checksum",
    "full": "every chunk decoded, all roots rebuilt, the digest compared",
}
_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


def share(one: Coverage) -> float:
    """How much of the round under way is done, 0…1."""
    return min(one.read_bytes / one.total_bytes, 1.0) if one.total_bytes else 0.0


def coverage_words(one: Coverage, days: int, now_ms: int) -> list[Span]:
    """What the look at all objects has read of a tier, the most important first: damage, this round, the last one, what
    is next."""
    words: list[Span] = []
    if one.damaged:
        words.append((f"XX {fmt.plural(len(one.damaged), 'object')} damaged or missing", "bad"))
    if one.looked_at_ms is None:
        words.append(("nothing was read back in turn yet", "warn" if days == 0 else "plain"))
    else:
        words.append((f"{fmt.size(one.read_bytes)} of {fmt.size(one.total_bytes)} in this round", "plain"))
    if one.completed_at_ms is not None:
        late = days > 0 and now_ms - one.completed_at_ms > 2 * days * _DAY_MS
        words.append((f"all of it by {fmt.minutes_ago(one.completed_at_ms, now_ms)}", "warn" if late else "ok"))
    elif one.looked_at_ms is not None:
        words.append(("no round has ended yet", "plain"))
    if one.looked_at_ms is not None:
        words.append((f"last read {fmt.minutes_ago(one.looked_at_ms, now_ms)}", "dim"))
    if days == 0:
        words.append(("none is scheduled: scrub_days is 0", "warn"))
    elif one.next_at_ms is None or one.next_at_ms <= now_ms:
        words.append(("the next slice as soon as nothing else is to be done", "dim"))
    else:
        words.append((f"the next slice in {fmt.minutes(now_ms, one.next_at_ms)}", "dim"))
    return words


def verified_words(checkpoints: Sequence[Checkpoint], report: IntegrityReport) -> list[Span]:
    """How many checkpoints a verification has found whole, by the deepest level."""
    verified = Verified(report)
    counts = {"full": 0, "standard": 0, "quick": 0}
    damaged = unread = 0
    for one in checkpoints:
        run = verified.of(one)
        if one.state is CheckpointState.DAMAGED:
            damaged += 1
        elif run is None:
            unread += 1
        else:
            counts[run.level] = counts.get(run.level, 0) + 1
    words: list[Span] = [(f"XX {fmt.count(damaged)} damaged", "bad")] if damaged else []
    words += [
        (f"{fmt.count(number)} {level}", "ok" if level == "full" else "plain")
        for level, number in counts.items()
        if number
    ]
    if unread:
        words.append((f"{fmt.count(unread)} not verified since they were taken", "dim"))
    return words


def run_about(run: VerificationRun) -> str:
    """What a verification was about."""
    if run.scrub:
        return "objects in turn"
    if run.everything:
        return "everything"
    if len(run.checkpoints) == 1:
        return f"checkpoint {short(run.checkpoints[0])}"
    return fmt.plural(len(run.checkpoints), "checkpoint") if run.checkpoints else "the remote copy"


def standing_findings(
    checkpoints: Sequence[Checkpoint], status: EngineStatus | None, report: IntegrityReport | None
) -> list[Finding]:
    """What is known to be damaged, whoever found it: unreadable manifests, objects, checkpoints."""
    found = [
        Finding(
            Severity.ERROR,
            "manifest",
            f"The manifest {name} cannot be read: its checkpoint is in no list.",
            name,
        )
        for name in (status.damaged_manifests if status is not None else ())
    ]
    for tier in report.coverage if report is not None else ():
        for name in tier.damaged:
            found.append(Finding(Severity.ERROR, "object", f"{name} is damaged or missing in {tier.tier}.", name))
    damaged = [one for one in checkpoints if one.state is CheckpointState.DAMAGED]
    for one in damaged[:_LISTED_MAX]:
        text = f"Checkpoint {short(one.id)} of {fmt.utc(one.created_at_ms)} is damaged: a verification found it so."
        found.append(Finding(Severity.ERROR, "checkpoint", text, one.id, (one.id,)))
    if len(damaged) > _LISTED_MAX:
        found.append(Finding(Severity.ERROR, "more", f"{len(damaged) - _LISTED_MAX:,} more are damaged."))
    return found


def result_findings(result: VerifyResult) -> list[Finding]:
    """All that a verification found and mended, the worst first."""
    found = sorted(result.findings, key=lambda one: _RANK[one.severity])
    named = {one.object for one in found}
    left = [one for one in result.unrepaired if one.object not in named]
    found += [
        Finding(Severity.ERROR, "unrepaired", f"{one.object} in {one.tier}: {one.detail}", one.object) for one in left
    ]
    mended = (("mended", result.repaired), ("kept aside", result.quarantined))
    for word, ones in mended:
        found += [
            Finding(Severity.INFO, word, f"{word}: {one.object} in {one.tier} ({one.detail})", one.object)
            for one in ones
        ]
    return found


def evidence(result: VerifyResult) -> list[Span]:
    """What was read, so that a quick green is not taken for a full one."""
    read = f"{fmt.plural(result.checkpoints, 'checkpoint')}, {fmt.plural(result.objects, 'object')}"
    lines: list[Span] = [
        (f"{'OK nothing is wrong' if result.ok else 'XX faults were found'}, level {result.level.value}: "
         f"{WHAT_LEVELS_READ[result.level.value]}", "ok" if result.ok else "bad"),
        (f"{read}, {fmt.size(result.bytes)} in {fmt.duration(result.duration_s)}", "plain"),
    ]  # fmt: skip
    for tier in result.tiers:
        past = "past every cache" if tier.cache_bypassed else "partly from a cache"
        lines.append((f"{tier.tier}: {fmt.plural(tier.objects, 'object')}, {fmt.size(tier.bytes)}, {past}", "dim"))
    return lines
