"""Checking stored checkpoints in every tier, at three depths, naming what a fault touches, and mending it.

*quick* compares listings and sizes with what is known, reads the home's small objects and index nodes, and looks their
nodes and leaves up; *standard* also reads every pack that is needed against its checksum, and the remote copy's small
objects; *full* also decodes every chunk, rebuilds counts and sizes, and compares the SHA-512 of the state. Nothing is
read through a cache.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from maos_ckpt.client import ProgressSink
from maos_ckpt.integrity.objects import ObjectCheck
from maos_ckpt.integrity.repair import Repairer, Repairs
from maos_ckpt.integrity.tiers import Fault
from maos_ckpt.integrity.walk import Walk
from maos_ckpt.model import (
    Checkpoint,
    CheckpointState,
    Finding,
    ObjectRepair,
    Progress,
    Severity,
    TierRead,
    VerifyLevel,
    VerifyResult,
    VerifyTier,
)
from maos_ckpt.repository.damaged import set_damaged
from maos_ckpt.repository.manifests import manifest_name, marks_name
from maos_ckpt.repository.packs import BASE_BYTES
from maos_ckpt.repository.repository import Repository

#: Findings listed; the last one says how many more there are.
FINDINGS_MAX = 1000


def verify(
    repository: Repository,
    checkpoints: Sequence[Checkpoint],
    level: VerifyLevel,
    progress: ProgressSink = lambda _: None,
    *,
    tier: VerifyTier = VerifyTier.ALL,
    repair: bool = False,
    complete: bool = False,
    slices: Mapping[str, Collection[str]] | None = None,
) -> VerifyResult:
    """Check these checkpoints (all committed ones where none is given).

    Damage is marked on the checkpoints it touches, where the repository may be written, and a chunk found damaged does
    not count as stored any more.

    Args:
        tier: where to read. A remote copy that cannot be read is a warning, unless it alone was asked for.
        repair: replace what is damaged or missing with what the other tier holds; the caller holds the home's lease.
        complete: the home should hold every pack that the remote copy holds; a repair brings them there.
        slices: look at these objects of each tier alone, and at checkpoints only where something is wrong with them.

    Raises:
        UnavailableError, PermissionRefusedError: a tier that was asked for cannot be read.
    """
    everything = not checkpoints
    chosen = repository.checkpoints() if everything else list(checkpoints)
    objects = ObjectCheck(repository, level, progress, tier)
    run = _Verification(repository, level, progress, tier, objects)
    reading = {"remote_first": tier is VerifyTier.S3, "local_only": tier is VerifyTier.LOCAL}
    with repository.reader.verifying(**reading):
        faults = objects.run(None if everything else chosen, slices, complete=complete and repair)
    if slices is not None and not faults:
        chosen = []
    if repair:
        faults = run.repair(faults)
        chosen = [one for one in repository.checkpoints() if everything or one.id in {two.id for two in chosen}]
    with repository.reader.verifying(**reading):
        return run.check_checkpoints(chosen, faults, everything=everything)


class _Verification:
    def __init__(
        self,
        repository: Repository,
        level: VerifyLevel,
        progress: ProgressSink,
        tier: VerifyTier,
        objects: ObjectCheck,
    ) -> None:
        self._repository = repository
        self._level = level
        self._progress = progress
        self._tier = tier
        self._started_s = repository.seams.clock.monotonic_s()
        self._read_before = dict(repository.reader.bytes_read)
        self._tiers = objects.tiers
        self._repairs = Repairs()
        self._unrepaired: tuple[ObjectRepair, ...] = ()
        self._findings = objects.findings

    def _find(
        self, severity: Severity, kind: str, message: str, name: str = "", affected: tuple[str, ...] = ()
    ) -> None:
        self._findings.append(Finding(severity, kind, message, name, affected))

    def repair(self, faults: list[Fault]) -> list[Fault]:
        """Repair what can be; what is left. Where something was replaced, everything is then read again."""
        repairer = Repairer(self._repository)
        repairer.run(faults, self._tiers)
        self._repairs = repairer.done
        if repairer.done.repaired or repairer.done.quarantined:
            self._level = VerifyLevel.FULL
        why = {(one.tier, one.object): one.detail for one in repairer.done.unrepaired}
        return [
            Fault(one.tier, one.name, f"{one.message} It cannot be repaired: {why[one.tier, one.name]}", one.missing)
            for one in faults
            if (one.tier, one.name) in why
        ]

    # Checkpoints

    def check_checkpoints(
        self, checkpoints: list[Checkpoint], faults: list[Fault], *, everything: bool
    ) -> VerifyResult:
        """Walk these checkpoints, name what the faults touch, and mark it."""
        walk = Walk(self._repository, self._level)
        self._unrepaired = tuple(ObjectRepair(one.tier, one.name, one.message) for one in faults)
        self._name_faults(faults, checkpoints, walk)
        known = {one.name for one in faults}
        # Where others were asked for, they are no fault of theirs, but `latest` may have been meant to be one of them.
        severity = Severity.ERROR if everything and self._tier is not VerifyTier.S3 else Severity.WARNING
        for name, why in self._repository.damaged_manifests().items():
            if name not in known:
                self._find(severity, "manifest", why, name)
        damaged: set[str] = set()
        for number, checkpoint in enumerate(checkpoints):
            self._progress(Progress("verify", checkpoint.id, number, len(checkpoints), walk.bytes))
            # Only a look at everything can take a mark off again, so marked ones are always looked at in full.
            if not walk.check(checkpoint, in_full=checkpoint.state is CheckpointState.DAMAGED):
                damaged.add(checkpoint.id)
        removed = self._removed(checkpoints)
        self._name_far(walk)
        self._findings += walk.findings
        for chunk, damage in walk.damage.items():
            affected = tuple(one for one in (*damage.checkpoints, *damage.records) if one not in removed)
            if affected and not removed.issuperset(damage.checkpoints):
                self._find(Severity.ERROR, "chunk", damage.message, damage.object or chunk.hex(), affected)
        self._mark([one for one in checkpoints if one.id not in removed], damaged, walk)
        return self._result(checkpoints, damaged - removed, walk)

    def _name_far(self, walk: Walk) -> None:
        """Say what was not read where it was asked for."""
        if walk.far:
            touched = sorted(set[str]().union(*walk.far.values()))
            what = "One pack lies" if len(walk.far) == 1 else f"{len(walk.far)} packs lie"
            message = f"{what} in the remote copy alone; what counts on that was not read here."
            self._find(Severity.WARNING, "tier", message, affected=tuple(touched))
        unsent = self._unsent() if self._tier is VerifyTier.S3 else set()
        if unsent:
            what = "One pack waits" if len(unsent) == 1 else f"{len(unsent)} packs wait"
            self._find(Severity.WARNING, "tier", f"{what} to be sent; what lies there was read in the home.")

    def _unsent(self) -> set[str]:
        memory = self._repository.remote_copy.memory
        return self._repository.backend.list("packs").keys() - memory.below("packs").keys() - memory.lost()

    def _name_faults(self, faults: list[Fault], checkpoints: list[Checkpoint], walk: Walk) -> None:
        whose = {manifest_name(one.seq): one.id for one in checkpoints}
        whose |= {marks_name(one.id): one.id for one in checkpoints}
        for fault in faults:
            severity = Severity.ERROR
            if fault.kind == "pack" and not fault.missing and self._lies_elsewhere(fault, walk):
                severity = Severity.WARNING
            affected = (whose[fault.name],) if fault.name in whose else ()
            self._find(severity, fault.kind, fault.message, fault.name, affected)

    def _lies_elsewhere(self, fault: Fault, walk: Walk) -> bool:
        """Look at the chunks of a damaged pack; whether other packs hold all that cannot be read from it."""
        repository, name = self._repository, fault.name
        bad = {}
        for stored in repository.index.pack_chunks(name):
            error = repository.chunks.fault(name, stored)
            if error is not None:
                bad[stored.id] = error.message
        if self._tier is not VerifyTier.S3:
            repository.index.mark_damaged(name, bad, only=True)
            # Deltas lie below nodes that cannot be read, too, where no walk comes by.
            bases = [one for one in bad if (full := repository.index.find_base(one[:BASE_BYTES])) and full[0] == name]
            for pack, leaning in repository.index.leaning_on(bases).items() if bases else ():
                repository.index.mark_damaged(pack, leaning)
        lost = 0
        for chunk, message in bad.items():
            found = repository.index.find(chunk)
            if found is None or found[0] == name:
                walk.note(chunk, message, name)
                lost += 1
        return bool(bad) and not lost

    def _removed(self, checkpoints: list[Checkpoint]) -> set[str]:
        """Ids of those that retention took while they were being checked; that their chunks are gone is no damage."""
        there = self._repository.backend.list("manifests")
        return {one.id for one in checkpoints if manifest_name(one.seq) not in there}

    def _mark(self, checkpoints: list[Checkpoint], damaged: set[str], walk: Walk) -> None:
        # What only the remote copy has damaged is whole in the home.
        if self._repository.read_only or self._tier is VerifyTier.S3:
            return
        for chunk, damage in walk.damage.items():
            # A delta whose base is damaged is as lost as the base; the next save must not count on it, either.
            found = self._repository.index.find(chunk)
            if damage.checkpoints and found is not None:
                self._repository.index.mark_damaged(found[0], (chunk,))
        changed = []
        for checkpoint in checkpoints:
            was = checkpoint.state is CheckpointState.DAMAGED
            # What was not to be read where it lies was not looked at.
            unread = self._tier is VerifyTier.LOCAL and any(checkpoint.id in one for one in walk.far.values())
            if was != (checkpoint.id in damaged) and not unread:
                changed.append((checkpoint, not was))
        set_damaged(self._repository, changed)

    # The result

    def _result(self, checkpoints: list[Checkpoint], damaged: set[str], walk: Walk) -> VerifyResult:
        last_good = next((one.id for one in checkpoints if one.id not in damaged), "") if damaged else ""
        if damaged:
            what = f"{last_good} is the newest of them that is whole." if last_good else "None of them is whole."
            noun = "checkpoint" if len(checkpoints) == 1 else "checkpoints"
            message = (
                f"{len(damaged)} of {len(checkpoints)} {noun} {'is' if len(damaged) == 1 else 'are'} damaged. {what}"
            )
            self._find(Severity.INFO, "last good", message, last_good)
        tiers = self._read()
        return VerifyResult(
            level=self._level,
            ok=not any(one.severity is Severity.ERROR for one in self._findings),
            checkpoints=len(checkpoints),
            objects=sum(one.objects for one in tiers) + walk.objects,
            bytes=sum(tier.read.bytes for tier in self._tiers.values()) + walk.bytes,
            findings=tuple(self._bounded()),
            duration_s=round(self._repository.seams.clock.monotonic_s() - self._started_s, 3),
            tiers=tiers,
            repaired=tuple(self._repairs.repaired),
            quarantined=tuple(self._repairs.quarantined),
            unrepaired=self._unrepaired,
            last_good=last_good,
        )

    def _read(self) -> tuple[TierRead, ...]:
        """Stored bytes read of each tier, those of single chunks included."""
        found = []
        for name, total in self._repository.reader.bytes_read.items():
            chunks = total - self._read_before[name]
            tier = self._tiers.get(name)
            if tier is not None:
                found.append(TierRead(name, tier.read.objects, tier.read.bytes + chunks))
            elif chunks:
                found.append(TierRead(name, 0, chunks))
        return tuple(found)

    def _bounded(self) -> list[Finding]:
        if len(self._findings) <= FINDINGS_MAX:
            return self._findings
        more = len(self._findings) - FINDINGS_MAX
        return [*self._findings[:FINDINGS_MAX], Finding(Severity.ERROR, "more", f"There are {more} more findings.")]
