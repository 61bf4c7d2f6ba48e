"""What the console knows, and what that means: health in words, and when the next save is due. No Textual in here.

A *tone* names a colour by meaning (`ok`, `warn`, `bad`, `dim`, …); `console.tcss` gives it a colour. Every tone comes
with a sign or a word of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from maos_ckpt.errors import CkptError, EngineUnreachableError
from maos_ckpt.ids import short_id
from maos_ckpt.model import LOCAL_TIER, Checkpoint, CheckpointState, EngineStatus, TierStatus
from maos_ckpt.model.alerts import CRITICAL, AlertState
from maos_ckpt_tui import formatting as fmt

#: A last success older than this many intervals is stale: two saves in a row did not happen.
STALE_INTERVALS = 3
#: Where nothing is scheduled, a success older than this is stale.
STALE_UNSCHEDULED_S = 600.0
#: What waits for S3 for longer than this is told; every save waits for a moment.
BEHIND_S = 60.0


@dataclass(slots=True)
class ConsoleModel:
    """All that the console has been told, replaced piece by piece; only the event loop's thread touches it.

    `problem` is the error of the last refresh, None where it worked; `complete` is False where more checkpoints exist
    than `limit` asked for. `start_again_ms` is set while the engine could not be started: when that is tried again.
    `attached`: the engine is another process's, and goes on when this console is left.
    """

    status: EngineStatus | None = None
    checkpoints: list[Checkpoint] = field(default_factory=list)
    loaded: bool = False
    limit: int = 500
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    problem: CkptError | None = None
    start_again_ms: int | None = None
    attached: bool = False
    _by_id: dict[str, Checkpoint] = field(default_factory=dict)

    def take_checkpoints(self, checkpoints: list[Checkpoint]) -> None:
        """A fresh list, newest first."""
        self.checkpoints, self.loaded = checkpoints, True
        self._by_id = {one.id: one for one in checkpoints}

    def find(self, checkpoint_id: str) -> Checkpoint | None:
        """A checkpoint among those loaded."""
        return self._by_id.get(checkpoint_id)

    @property
    def complete(self) -> bool:
        """Whether `checkpoints` holds all there are."""
        return len(self.checkpoints) < self.limit


@dataclass(frozen=True, slots=True)
class Health:
    """Sign and word say it, `sentence` explains it; `trouble` is the error behind it, in full."""

    sign: str
    word: str
    tone: str
    sentence: str
    trouble: str = ""


def health(model: ConsoleModel, now_ms: int) -> Health:
    """How safe the live state is now, the worst news first."""
    status, problem = model.status, model.problem
    last = status.last_success if status is not None else None
    age = f"last checkpoint {fmt.ago(last.created_at_ms, now_ms)}" if last else "no checkpoint yet"
    if isinstance(problem, EngineUnreachableError):
        known = f"{age}, as far as is known" if last else "whether checkpoints are taken is not known"
        return Health("XX", "NO CONNECTION", "bad", known, f"{problem.message} {problem.kept}")
    if problem is not None and model.start_again_ms is not None:
        return Health("XX", "NOT STARTED", "bad", "no checkpoint is taken", f"{problem.message} {problem.hint}")
    if problem is not None:
        return Health("XX", "NO ANSWER", "bad", f"{age}, as far as is known" if last else "", problem.message)
    if status is None:
        return Health("..", "LOADING", "dim", "asking the engine…")
    if status.unfinished_recovery:
        return Health("XX", "RECOVERY UNFINISHED", "bad", age, status.unfinished_recovery)
    if last is not None and last.state is CheckpointState.DAMAGED:
        return Health("XX", "DAMAGED", "bad", age, "The newest checkpoint is damaged: c takes another one.")
    if status.last_error and (last is None or (status.last_error_at_ms or 0) > last.created_at_ms):
        return Health("XX", "FAILING", "bad", age, status.last_error)
    if last is None:
        return Health("..", "STARTING", "warn", "no checkpoint yet: the live state is not protected")
    limit_s = status.interval_s * STALE_INTERVALS if status.interval_s > 0 else STALE_UNSCHEDULED_S
    if now_ms - last.created_at_ms > limit_s * 1000:
        return Health("!!", "STALE", "warn", age)
    return Health("OK", "SAFE", "ok", age)


#: State of a remote copy → sign, words, tone. One that is merely behind is judged by how long.
_REMOTE = {
    "away": ("!!", "IS AWAY", "warn"),
    "held elsewhere": ("!!", "IS WRITTEN TO BY ANOTHER MACHINE", "warn"),
    "refused": ("XX", "REFUSES", "bad"),
    "foreign": ("XX", "HOLDS ANOTHER REPOSITORY", "bad"),
    "damaged": ("XX", "MISSES PACKS", "bad"),
    "behind": ("!!", "IS BEHIND", "warn"),
}


def remote_trouble(status: EngineStatus | None, now_ms: int) -> Health | None:
    """What is wrong with the remote copy, since when, what waits and why; None where it is in step."""
    remote = _remote(status)
    if remote is None or remote.state not in _REMOTE:
        return None
    waiting_s = (now_ms - remote.oldest_pending_at_ms) / 1000 if remote.oldest_pending_at_ms is not None else 0.0
    if remote.state == "behind" and waiting_s <= BEHIND_S:
        return None
    sign, word, tone = _REMOTE[remote.state]
    since_ms = remote.since_ms if remote.since_ms is not None else remote.oldest_pending_at_ms
    words = f"since {fmt.minutes(since_ms, now_ms)}, " if since_ms is not None else ""
    if remote.pending:
        verb = "waits" if remote.pending == 1 else "wait"
        words += f"{fmt.plural(remote.pending, 'checkpoint')} ({fmt.size(remote.pending_bytes)}) {verb} here"
    else:
        words += "nothing waits"
    return Health(sign, f"{remote.name.upper()} {word}", tone, words, remote.reason)


def alert_trouble(status: EngineStatus | None) -> Health | None:
    """The worst alert that nobody has seen, with what to do, and how many there are more; None where there is none."""
    firing = [one for one in status.alerts if one.state is AlertState.FIRING] if status is not None else []
    if not firing:
        return None
    worst, more = firing[0], len(firing) - 1
    sign, tone = ("XX", "bad") if worst.severity == CRITICAL else ("!!", "warn")
    others = f", and {fmt.plural(more, 'further alert')}" if more else ""
    return Health(sign, f"ALERT {worst.name}", tone, f"{worst.message} A lists it{others}.", f"To do: {worst.runbook}")


def remote_words(status: EngineStatus | None) -> str:
    """The remote copy in two words, where nothing is wrong with it; "" where there is none."""
    remote = _remote(status)
    if remote is None:
        return ""
    return f"{fmt.count(remote.pending)} on the way to {remote.name}" if remote.pending else f"{remote.name} has all"


def _remote(status: EngineStatus | None) -> TierStatus | None:
    return next((one for one in status.tiers if one.name != LOCAL_TIER), None) if status is not None else None


def next_run(status: EngineStatus | None, now_ms: int) -> str:
    """When the next scheduled save is due, in words; empty where a save is running."""
    if status is None or status.running is not None:
        return ""
    if status.next_run_at_ms is None:
        return "no save is scheduled here" if status.role == "engine" else f"saves are made by {status.owner}"
    left_s = math.ceil((status.next_run_at_ms - now_ms) / 1000)
    return f"next in {fmt.duration(float(left_s))}" if left_s > 0 else "next is due now"


def next_try(model: ConsoleModel, now_ms: int) -> str:
    """When the engine is asked or started again, in words; empty where it answers."""
    if model.problem is None:
        return ""
    if model.start_again_ms is None:
        return "asking again every few seconds"
    left_s = math.ceil((model.start_again_ms - now_ms) / 1000)
    return f"trying again in {fmt.duration(float(left_s))}" if left_s > 0 else "trying again now"


def short(checkpoint_id: str) -> str:
    """The six characters that name a checkpoint among people."""
    return short_id(checkpoint_id)
