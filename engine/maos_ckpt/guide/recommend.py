"""Recommends the checkpoint to go back to: the last sound one before it went wrong.

Neighbouring checkpoints are compared, the newest first, which reads only what changed. What happens in nearly every
step is routine; what is left is weighed, and the step that weighs most, with those beside it, is the incident.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import UNREADABLE, IntegrityError
from maos_ckpt.guide import words
from maos_ckpt.guide.lost import work_lost
from maos_ckpt.guide.signs import EXAMPLES_MAX, Reader, SignKey, Step, score
from maos_ckpt.model import Advice, Checkpoint, CheckpointState, Incident, Progress, Recommendation, Sign, Trigger
from maos_ckpt.repository.repository import Repository
from maos_ckpt.states import LIVE, LiveState, State, StoredState

#: Checkpoints looked at where the caller names no number.
LOOKED_AT = 120
#: A step that weighs less is no incident.
_TROUBLE_MIN = 3.0
#: Steps without trouble that may lie within one incident.
_QUIET_STEPS_MAX = 2
#: So many checkpoints may turn out to be damaged as they are about to be recommended; of more, the first is taken.
_UNSOUND_MAX = 10
_OPERATION = "guide"


@dataclass(slots=True)
class _Judged:
    """A step, from the checkpoint at place `number` of the row (the newest is 0) to its successor."""

    number: int
    step: Step
    signs: dict[SignKey, int] = field(default_factory=dict)
    weight: float = 0.0


def recommend(
    repository: Repository,
    live: LiveState | StoredState,
    asked: Checkpoint | None,
    verified_at_ms: Mapping[str, int],
    *,
    unread: str = "",
    looked_at: int = LOOKED_AT,
    progress: ProgressSink = lambda _: None,
) -> Recommendation:
    """Which checkpoint to go back to, with reasons and warnings; and what is to be said about `asked`.

    Args:
        verified_at_ms: checkpoint → when all of it was last read back and found whole.
        unread: why `live` is not the live state, "" where it is.
    """
    return _Guide(repository, live, verified_at_ms, unread, progress).run(asked, looked_at)


class _Guide:
    def __init__(
        self,
        repository: Repository,
        live: LiveState | StoredState,
        verified_at_ms: Mapping[str, int],
        unread: str,
        progress: ProgressSink,
    ) -> None:
        self._repository = repository
        self._live = live
        self._verified_at_ms = verified_at_ms
        self._unread = unread
        self._progress = progress
        self._now_ms = repository.seams.clock.now_ms()
        self._all = repository.checkpoints()
        #: Those that can be compared, newest first.
        self._row: list[Checkpoint] = []
        self._complete = not unread
        #: Those that turned out to be damaged.
        self._unsound: set[str] = set()
        self._lost: dict[str, dict[str, int]] = {}

    def run(self, asked: Checkpoint | None, looked_at: int) -> Recommendation:
        sound = [one for one in self._all if one.state is not CheckpointState.DAMAGED]
        self._row = sound[:looked_at]
        incident = self._incident(self._read())
        chosen = self._choose(sound, incident)
        chosen = self._readable(chosen, sound, incident)
        recommended = None if chosen is None else self._advise(chosen, chosen, incident)
        told = recommended if asked is None or asked == chosen else self._advise(asked, chosen, incident)
        return Recommendation(
            recommended=recommended,
            asked=None if asked is None else told,
            incident=incident,
            looked_at=len(self._row),
            complete=self._complete,
        )

    # The incident

    def _read(self) -> list[_Judged]:
        """The steps, the newest first."""
        reader, steps = Reader(), list[_Judged]()
        after: State = self._live
        for number, checkpoint in enumerate(self._row):
            self._progress(Progress(_OPERATION, "compare", number, len(self._row)))
            before = StoredState(self._repository, checkpoint)
            # What follows a safety checkpoint is what a recovery did, on purpose.
            step = reader.read(before, after, judge=checkpoint.trigger is not Trigger.SAFETY)
            self._complete &= step.complete
            steps.append(_Judged(number, step))
            after = before
            if reader.full:
                self._row = self._row[: number + 1]
                self._complete = False
                break
        self._weigh(steps)
        return steps

    @staticmethod
    def _weigh(steps: list[_Judged]) -> None:
        """Weigh each step by what happens in it and not, as often, in most steps."""
        keys = {key for one in steps for key in one.step.counts}
        routine: dict[SignKey, int] = {}
        for key in keys:
            counts = sorted(one.step.counts.get(key, 0) for one in steps)
            # An incident may go on for most of the time that is looked at; what is routine happens nearly always.
            routine[key] = counts[(len(counts) - 1) // 4] if len(counts) > 2 else 0
        for one in steps:
            for key, count in one.step.counts.items():
                excess = count - 2 * routine[key]
                if excess > 0:
                    one.signs[key] = count
                    one.weight += score(key, excess, one.step.totals.get((key[1], key[2]), 0))

    def _incident(self, steps: Sequence[_Judged]) -> Incident | None:
        worst = max(steps, key=lambda one: one.weight, default=None)
        if worst is None or worst.weight < _TROUBLE_MIN:
            return None
        first = last = worst.number
        for one in steps[worst.number + 1 :]:
            if one.number - first > _QUIET_STEPS_MAX + 1:
                break
            if one.weight >= _TROUBLE_MIN:
                first = one.number
        before = self._row[last - 1] if last else None
        return Incident(
            after=self._row[first].id,
            before=LIVE if before is None else before.id,
            from_ms=self._row[first].created_at_ms,
            to_ms=self._now_ms if before is None else before.created_at_ms,
            signs=_joined(steps[last : first + 1]),
        )

    def _choose(self, sound: list[Checkpoint], incident: Incident | None) -> Checkpoint | None:
        """The newest sound checkpoint from before the incident; none that a recovery took for its own undo."""
        before = next((one.seq for one in sound if incident is not None and one.id == incident.after), None)
        for one in sound:
            taken_for_itself = one.trigger is not Trigger.SAFETY and one.id not in self._unsound
            if taken_for_itself and (before is None or one.seq <= before):
                return one
        return None

    def _readable(
        self, first: Checkpoint | None, sound: list[Checkpoint], incident: Incident | None
    ) -> Checkpoint | None:
        """The first choice, or where it turns out to be damaged the next one."""
        chosen = first
        while chosen is not None and len(self._unsound) < _UNSOUND_MAX:
            try:
                self._work_lost(chosen)
            except IntegrityError:
                self._unsound.add(chosen.id)
                chosen = self._choose(sound, incident)
            except UNREADABLE:
                return chosen
            else:
                return chosen
        # Where none can be compared, it is the other side that cannot be read.
        self._unsound.clear()
        return first

    def _work_lost(self, one: Checkpoint) -> dict[str, int]:
        if one.id not in self._lost:
            self._lost[one.id] = work_lost(StoredState(self._repository, one), self._live)
        return self._lost[one.id]

    def _is_damaged(self, one: Checkpoint) -> bool:
        return one.state is CheckpointState.DAMAGED or one.id in self._unsound

    # What is to be said

    def _advise(self, one: Checkpoint, chosen: Checkpoint | None, incident: Incident | None) -> Advice:
        reasons, warnings = self._about_incident(one, chosen, incident)
        verified = self._verified_at_ms.get(one.id)
        if verified is not None:
            reasons.append(f"Verified in full {words.span((self._now_ms - verified) / 1000)} ago.")
        lost_s = (self._now_ms - one.created_at_ms) / 1000
        lost: dict[str, int] = {}
        try:
            lost = self._work_lost(one)
            if not self._unread:
                reasons.append(f"{words.lost_words(lost, lost_s)}.")
        except UNREADABLE as error:
            warnings.append(f"It cannot be compared with the live state: {error.message}")
        if self._unread:
            warnings.insert(0, self._unread)
        warnings += self._faults(one, incident)
        return Advice(one.id, one.created_at_ms, tuple(reasons), tuple(warnings), lost, lost_s)

    def _about_incident(
        self, one: Checkpoint, chosen: Checkpoint | None, incident: Incident | None
    ) -> tuple[list[str], list[str]]:
        reasons, warnings = list[str](), list[str]()
        if incident is None:
            if one is chosen:
                reasons.append(f"The newest one; in the last {len(self._row)} checkpoints nothing looks wrong.")
        else:
            happened = f"({words.between(incident.from_ms, incident.to_ms)}): {words.what_happened(incident)}."
            first_after = next(found.seq for found in self._row if found.id == incident.after)
            if one.seq > first_after:
                warnings.append(f"It holds the damage, or a part of it {happened}")
            elif one is chosen:
                reasons.append(f"The last one before it went wrong {happened}")
            else:
                reasons.append(f"From before it went wrong {happened}")
        if chosen is not None and one.seq < chosen.seq:
            newer = sum(one.seq < found.seq <= chosen.seq for found in self._all)
            warnings.append(f"{words.number(newer, 'newer checkpoint')} would lose less, {chosen.id} the least.")
        return reasons, warnings

    def _faults(self, one: Checkpoint, incident: Incident | None) -> list[str]:
        found = []
        if self._is_damaged(one):
            found.append("It is damaged; `maos-ckpt verify` says where, and whether it can be repaired.")
        if one.trigger is Trigger.SAFETY:
            found.append(f"It is a safety checkpoint, the state that a recovery replaced: {one.description}")
        found += [f"When it was taken: {note}" for note in one.capture.notes]
        end = next((other.seq for other in self._row if incident is not None and other.id == incident.before), None)
        for other in self._all:
            nearer = other.seq > one.seq and (end is None or other.seq < end)
            if nearer and self._is_damaged(other):
                found.append(f"{other.id} of {words.at(other.created_at_ms)} is nearer, and damaged.")
                break
        if one.id not in self._verified_at_ms:
            found.append("It has not been read back in full since it was taken.")
        return found


def _joined(steps: Sequence[_Judged]) -> tuple[Sign, ...]:
    """The signs of neighbouring steps together, the heaviest first."""
    joined: dict[SignKey, Sign] = {}
    for one in reversed(steps):
        for key, count in one.signs.items():
            known = joined.get(key, Sign(*key, 0, one.step.totals.get((key[1], key[2]), 0), ()))
            examples = tuple(dict.fromkeys((*known.examples, *one.step.examples[key])))[:EXAMPLES_MAX]
            joined[key] = dataclasses.replace(known, count=known.count + count, examples=examples)
    return tuple(
        sorted(joined.values(), key=lambda s: -score((s.what, s.component, s.collection, s.detail), s.count, s.total))
    )
