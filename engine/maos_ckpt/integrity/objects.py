"""A verification's look at stored objects, tier by tier."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import FormatError, IntegrityError, PermissionRefusedError, UnavailableError
from maos_ckpt.integrity.tiers import Fault, Tier, local_tier, mend_memory, names_of, remote_tier
from maos_ckpt.model import LOCAL_TIER, REMOTE_TIER, Checkpoint, Finding, Progress, Severity, VerifyLevel, VerifyTier
from maos_ckpt.repository.needed import needed_chunks, needed_places
from maos_ckpt.repository.repository import Repository


class ObjectCheck:
    """One look at the objects of the tiers that `tier` names.

    Attributes:
        tiers: those that are looked at, by name.
        findings: what is wrong beside the objects: a tier that cannot be read, a pack of a newer version.
    """

    def __init__(self, repository: Repository, level: VerifyLevel, progress: ProgressSink, tier: VerifyTier) -> None:
        self._repository = repository
        self._level = level
        self._progress = progress
        self._tier = tier
        self.tiers: dict[str, Tier] = {}
        self.findings: list[Finding] = []

    def run(
        self, checkpoints: list[Checkpoint] | None, slices: Mapping[str, Collection[str]] | None, *, complete: bool
    ) -> list[Fault]:
        """Look at the objects of the tiers: all, or those of these checkpoints or slices; what is wrong with them.

        Raises:
            UnavailableError, PermissionRefusedError: a tier that was asked for cannot be read.
        """
        self._open_tiers(complete=complete)
        if checkpoints is not None:
            packs = self._needed_packs(checkpoints)
            for tier in self.tiers.values():
                tier.only(names_of(checkpoints, packs))
        if slices is not None:
            for name, tier in self.tiers.items():
                tier.only(slices.get(name, ()))
        faults: dict[tuple[str, str], Fault] = {}
        for tier in list(self.tiers.values()):
            try:
                for fault in self._check_tier(tier):
                    faults[fault.tier, fault.name] = fault
            except (UnavailableError, PermissionRefusedError) as error:
                if tier.name == LOCAL_TIER:
                    raise
                self._leave_out_remote(error)
        mend_memory(self._repository, faults.values())
        self._repository.synchronise()
        for name, why in self._repository.damaged_packs.items():
            here = self._repository.backend.size(name) is not None
            place = LOCAL_TIER if here else REMOTE_TIER
            if isinstance(why, FormatError) and (place, name) not in faults:
                self.findings.append(Finding(Severity.ERROR, "pack", why.message, name))
            elif place in self.tiers:
                faults.setdefault((place, name), Fault(place, name, why.message))
        return list(faults.values())

    def _open_tiers(self, *, complete: bool) -> None:
        if self._tier is not VerifyTier.S3:
            self.tiers[LOCAL_TIER] = local_tier(self._repository, complete=complete)
        if self._tier is not VerifyTier.LOCAL and self._repository.remote is not None:
            try:
                self.tiers[REMOTE_TIER] = remote_tier(self._repository)
            except (UnavailableError, PermissionRefusedError) as error:
                self._leave_out_remote(error)

    def _leave_out_remote(self, error: UnavailableError | PermissionRefusedError) -> None:
        if self._tier is VerifyTier.S3:
            raise error
        message = f"The remote copy could not be checked: {error.message}"
        self.findings.append(Finding(Severity.WARNING, "tier", message, self._repository.remote_copy.location))

    def _needed_packs(self, checkpoints: list[Checkpoint]) -> set[str]:
        if self._level is VerifyLevel.QUICK:
            return set(self._repository.packs())

        def pass_over(_: IntegrityError) -> None:
            """What cannot be read is found again, and named, when the checkpoint itself is checked."""

        needed: set[bytes] = set()
        for checkpoint in checkpoints:
            needed_chunks(self._repository, checkpoint, needed, pass_over)
        return set(needed_places(self._repository, needed, pass_over).values())

    def _check_tier(self, tier: Tier) -> list[Fault]:
        faults, index = [], self._repository.index
        for number, name in enumerate(sorted(tier.expected)):
            self._progress(Progress("verify", tier.name, number, len(tier.expected), tier.read.bytes, name))
            fault = tier.fault(name, self._level)
            if fault is not None:
                faults.append(fault)
            elif tier.name == LOCAL_TIER and self._level is not VerifyLevel.QUICK and index.damaged(name):
                index.mark_damaged(name, (), only=True)
        return faults
