"""Damaged and missing objects made good from the other tier.

What is fetched is checked against its name before it replaces anything, and what it replaces is kept in quarantine. A
damaged pack that no tier has whole gives what is good in it to a new pack; what is lost then counts as not stored, so
that the next save of a state that still holds it stores it again.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from maos_ckpt.backends.base import HEADER_NAME, Backend
from maos_ckpt.errors import CkptError, FormatError, IntegrityError, LeaseHeldError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.integrity.quarantine import Quarantine
from maos_ckpt.integrity.tiers import BYTES_MAX, Fault, Tier, directory_of
from maos_ckpt.model import LOCAL_TIER, REMOTE_TIER, ObjectRepair
from maos_ckpt.replication.bundles import DIRECTORY as BUNDLES
from maos_ckpt.repository.manifests import is_intact
from maos_ckpt.repository.objects import check_object
from maos_ckpt.repository.pack_writer import PackWriter
from maos_ckpt.repository.packs import Stored, pack_digest
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.replacing import digest, seal_checked
from maos_ckpt.repository.repository import Repository

_PORTION_BYTES = 8 << 20


@dataclass(slots=True)
class Repairs:
    """What a repair did, and what it could not do."""

    repaired: list[ObjectRepair] = field(default_factory=list)
    quarantined: list[ObjectRepair] = field(default_factory=list)
    unrepaired: list[ObjectRepair] = field(default_factory=list)


class Repairer:
    """Repairs the objects of one repository; the caller holds the home's lease."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._quarantine = Quarantine(repository)
        self._lease: RemoteLease | None = None
        self.done = Repairs()

    def run(self, faults: list[Fault], tiers: dict[str, Tier]) -> None:
        """Repair what can be; no fault raises."""
        try:
            # The home first: it is what the remote copy is repaired from.
            for fault in sorted(faults, key=lambda one: one.tier != LOCAL_TIER):
                try:
                    how = self._repair(fault, tiers)
                except CkptError as error:
                    self.done.unrepaired.append(ObjectRepair(fault.tier, fault.name, error.message))
                else:
                    self.done.repaired.append(ObjectRepair(fault.tier, fault.name, how))
        finally:
            if self._lease is not None:
                with contextlib.suppress(CkptError):
                    self._lease.release()
        self._repository.synchronise()

    def _repair(self, fault: Fault, tiers: dict[str, Tier]) -> str:
        """Repair one object; how. Raises `CkptError` where it cannot be."""
        tier = tiers[fault.tier]
        if fault.tier == REMOTE_TIER:
            self._be_the_writer()
        if directory_of(fault.name) == BUNDLES:
            return self._drop_bundle(fault, tier)
        if fault.tier == REMOTE_TIER and fault.name in self._repository.remote_copy.memory.doomed("packs"):
            return "given up: what is good in it went to another pack"
        other = self._other(fault)
        if directory_of(fault.name) != "packs":
            return self._replace_small(fault, tier, other)
        foreign = self._repository.damaged_packs.get(fault.name)
        if foreign is not None and not fault.missing and self._is_whole(tier.backend, fault.name):
            return self._take_away(fault.name, tiers, foreign)
        if other is not None and self._is_whole(other, fault.name):
            return self._replace_pack(fault, tier, other)
        return self._salvage(fault, tier)

    def _other(self, fault: Fault) -> Backend | None:
        repository = self._repository
        if fault.tier == REMOTE_TIER:
            return repository.backend
        return None if repository.remote is None else repository.remote.uncached

    def _be_the_writer(self) -> None:
        """Nobody else may write to the remote copy while it is repaired; raises `LeaseHeldError`."""
        repository = self._repository
        if self._lease is None:
            lease = RemoteLease(repository.remote_copy, str(repository.path), repository.seams)
            lease.acquire()
            self._lease = lease
        elif not self._lease.renew():
            raise LeaseHeldError("Another machine writes to this system by now.", kept="Nothing was replaced there.")

    def _keep(self, fault: Fault, tier: Tier) -> None:
        if not fault.missing:
            self.done.quarantined.append(ObjectRepair(fault.tier, fault.name, self._quarantine.keep(fault, tier)))

    # Small objects

    def _replace_small(self, fault: Fault, tier: Tier, other: Backend | None) -> str:
        if other is None or other.size(fault.name) is None:
            if self._is_misplaced(fault, tier):
                return self._put_aside(fault, tier)
            raise IntegrityError("No other tier holds it.", object=fault.name)
        data = other.read(fault.name, BYTES_MAX[directory_of(fault.name)])
        try:
            check_object(self._repository, fault.name, data)
        except (IntegrityError, FormatError) as error:
            raise IntegrityError("The other tier does not hold it whole, either.", object=fault.name) from error
        self._keep(fault, tier)
        if fault.tier == LOCAL_TIER:
            self._repository.backend.replace(fault.name, data)
            return "taken from the remote copy"
        remote = self._repository.remote_copy
        remote.backend.replace(fault.name, data)
        sha256 = hashlib.sha256(data)
        if fault.name == HEADER_NAME:
            remote.memory.set_fact("header", sha256.hexdigest())
        else:
            changes = directory_of(fault.name) in ("marks", "keys")
            remote.memory.add(fault.name, len(data), sha256.digest() if changes else b"")
        return "taken from the home"

    def _is_misplaced(self, fault: Fault, tier: Tier) -> bool:
        """Whether a manifest is whole and yet none of this repository's, or not under its own number."""
        if directory_of(fault.name) != "manifests" or fault.missing:
            return False
        data = tier.backend.read(fault.name, BYTES_MAX["manifests"])
        try:
            check_object(self._repository, fault.name, data)
        except IntegrityError:
            return is_intact(data)
        except FormatError:
            return False
        return False

    def _put_aside(self, fault: Fault, tier: Tier) -> str:
        self._keep(fault, tier)
        if fault.tier == REMOTE_TIER:
            self._repository.remote_copy.remove([fault.name])
        else:
            self._repository.backend.delete(fault.name)
        return "taken away: it is no manifest of this repository"

    def _drop_bundle(self, fault: Fault, tier: Tier) -> str:
        """A bundle only repeats what others say: its objects are gathered anew by a later replication."""
        self._keep(fault, tier)
        remote = self._repository.remote_copy
        remote.remove([fault.name])
        for directory in ("manifests", "packs"):
            remote.memory.set_marks(remote.memory.below(directory), b"")
        return "removed; a later replication makes it anew"

    # Packs

    def _is_whole(self, backend: Backend, name: str) -> bool:
        try:
            return digest(backend, name)[0] == pack_digest(name)
        except IntegrityError:
            return False

    def _take_away(self, name: str, tiers: dict[str, Tier], why: CkptError) -> str:
        """Quarantine a pack whose bytes are what its name says and which is none of this repository's all the same.

        It is another's, or in the clear: no other copy of it is better.
        """
        if isinstance(why, FormatError):
            raise why
        repository = self._repository
        for tier in tiers.values():
            if tier.backend.size(name) is None:
                continue
            if tier.name == REMOTE_TIER:
                self._be_the_writer()
            self._keep(Fault(tier.name, name, why.message), tier)
            if tier.name == REMOTE_TIER:
                repository.remote_copy.remove([name])
            else:
                repository.drop_pack(name)
        repository.damaged_packs.pop(name, None)
        return "taken away: it is no pack of this repository"

    def _replace_pack(self, fault: Fault, tier: Tier, other: Backend) -> str:
        repository, name = self._repository, fault.name
        if fault.tier == LOCAL_TIER:
            fetched = self._fetch(other, name)
            try:
                self._keep(fault, tier)
                repository.backend.publish(fetched, name, replace=True)
            finally:
                repository.backend.discard(fetched)
            repository.reader.forget(name)
            repository.damaged_packs.pop(name, None)
            repository.index.mark_damaged(name, (), only=True)
            return "taken from the remote copy"
        self._keep(fault, tier)
        remote, path = repository.remote_copy, repository.backend.path(name)
        # Until the new bytes are there nothing counts on the old ones, which could not be read in any case.
        remote.memory.remove([name])
        remote.backend.delete(name)
        if not remote.backend.create_file(name, path, sha256=pack_digest(name).hex()):
            raise IntegrityError("Somebody else wrote other bytes there at the same moment.", object=name)
        remote.memory.add(name, path.stat().st_size)
        return "taken from the home"

    def _fetch(self, other: Backend, name: str) -> Path:
        """A pack of another tier as a synced temporary file whose bytes are what its name says."""
        repository = self._repository
        size = other.size(name) or 0
        temporary, found = repository.backend.temporary(), hashlib.sha256()
        fs = repository.seams.fs
        try:
            fd = fs.create(temporary)
            try:
                for offset in range(0, size, _PORTION_BYTES):
                    portion = other.read_range(name, offset, min(_PORTION_BYTES, size - offset))
                    found.update(portion)
                    fs.write(fd, portion)
                fs.sync(fd)
            finally:
                fs.close(fd)
            if found.digest() != pack_digest(name):
                raise IntegrityError("What was fetched is not what its name says.", object=name)
        except BaseException as error:
            repository.backend.discard(temporary)
            if isinstance(error, OSError):
                raise_storage_error(error, temporary)
            raise
        return temporary

    def _salvage(self, fault: Fault, tier: Tier) -> str:
        """Carry what is good in a pack that no tier has whole over into a new one, and take the old one away.

        Raises:
            IntegrityError: chunks are lost, or the pack's index is, so that it was left as it is.
        """
        repository, name = self._repository, fault.name
        if name in repository.damaged_packs or (fault.missing and repository.backend.size(name) is None):
            raise IntegrityError("No tier holds it whole, and what it holds cannot be told.", object=name)
        writer = PackWriter(repository.backend, repository.seams.fs, repository.sealer)
        lost = 0
        try:
            for stored in repository.index.pack_chunks(name):
                payload = self._good_payload(name, stored)
                if payload is not None:
                    writer.add(stored.id, stored.codec, stored.raw, payload, stored.base)
                elif repository.index.find(stored.id) == (name, stored):
                    lost += 1
            self._keep(fault, tier)
            # Put together from both tiers it may be the very pack that it was, under its own name.
            sealed = seal_checked(repository, writer)
        finally:
            writer.abandon()
        repository.reader.forget(name)
        if sealed.size and sealed.name == name:
            repository.index.mark_damaged(name, (), only=True)
            return "put together from both tiers"
        repository.drop_pack(name)
        if lost:
            what = "chunk that it held is" if lost == 1 else "chunks that it held are"
            rest = f"; what is good in it went to {sealed.name}" if sealed.size else ""
            raise IntegrityError(f"{lost} {what} lost{rest}.", object=name)
        return f"what it held is whole in {sealed.name}" if sealed.size else "nothing that is needed was in it"

    def _good_payload(self, name: str, stored: Stored) -> bytes | None:
        """A chunk's stored bytes from the tier that holds them whole, the home first; None where none does."""
        repository = self._repository
        for remote_first in (False, True):
            with repository.reader.verifying(remote_first=remote_first):
                if repository.chunks.fault(name, stored) is None:
                    return repository.reader.payload(name, stored)
        return None
