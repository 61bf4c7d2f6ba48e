"""The objects of one tier against their names, their checksums, and what is known of the tier.

What counts: header, manifests, packs, marks and key slots of both tiers, and the bundles of the remote copy. Leases,
announcements, journal and caches carry nothing that a checkpoint needs, and are made anew by those who use them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from maos_ckpt.backends.base import HEADER_NAME, Backend
from maos_ckpt.codec.slots import SLOT_BYTES_MAX
from maos_ckpt.errors import FormatError, IntegrityError, MissingObjectError
from maos_ckpt.model import LOCAL_TIER, REMOTE_TIER, Checkpoint, TierRead, VerifyLevel
from maos_ckpt.replication import bundles
from maos_ckpt.repository.header import BYTES_MAX as HEADER_BYTES_MAX
from maos_ckpt.repository.manifests import MANIFEST_BYTES_MAX, manifest_name, marks_name
from maos_ckpt.repository.marks import MARKS_BYTES_MAX
from maos_ckpt.repository.objects import check_object
from maos_ckpt.repository.packs import pack_digest
from maos_ckpt.repository.remote import MIRRORED, WRITER
from maos_ckpt.repository.replacing import digest
from maos_ckpt.repository.repository import Repository

#: What is called what in a finding.
_KINDS = {"packs": "pack", "manifests": "manifest", "keys": "key", "bundles": "bundle", HEADER_NAME: "header"}
#: Longest object of each kind that is read as a whole; packs are read in portions.
BYTES_MAX = {
    HEADER_NAME: HEADER_BYTES_MAX,
    "manifests": MANIFEST_BYTES_MAX,
    "marks": MARKS_BYTES_MAX,
    "keys": SLOT_BYTES_MAX,
    "bundles": bundles.STORED_BYTES_MAX,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """An object of a tier that is gone, or not what it should be."""

    tier: str
    name: str
    message: str
    missing: bool = False

    @property
    def kind(self) -> str:
        """What it is: `pack`, `manifest`, `marks`, `key`, `bundle` or `header`."""
        directory = directory_of(self.name)
        return _KINDS.get(directory, directory)


def directory_of(name: str) -> str:
    """The first part of an object's name; the header's is its own."""
    return name.partition("/")[0]


class Tier:
    """One tier while it is verified: what should lie there, what does, and what was read of it.

    Args:
        expected: names with sizes in bytes, None where the size is not known.
        there: what a listing shows.
    """

    def __init__(
        self,
        repository: Repository,
        name: str,
        backend: Backend,
        expected: dict[str, int | None],
        there: dict[str, int],
    ) -> None:
        self.name = name
        self.backend = backend
        self.expected = expected
        self.there = there
        self._repository = repository
        self._objects = 0
        self._bytes = 0

    @property
    def read(self) -> TierRead:
        """What was read so far."""
        return TierRead(self.name, self._objects, self._bytes)

    def only(self, wanted: Iterable[str]) -> None:
        """Leave out what is not among these names."""
        kept = set(wanted)
        self.expected = {name: size for name, size in self.expected.items() if name in kept}

    def fault(self, name: str, level: VerifyLevel) -> Fault | None:
        """What is wrong with one object; None where nothing is, or where it was rightly removed meanwhile.

        Raises:
            UnavailableError, PermissionRefusedError: the tier cannot be read.
        """
        self._objects += 1
        place = " in the remote copy" if self.name == REMOTE_TIER else ""
        if name not in self.there:
            gone = self._is_missed(name)
            return Fault(self.name, name, f"The object {name} is missing{place}.", missing=True) if gone else None
        size = self.expected[name]
        if size is not None and size != self.there[name] and self.backend.size(name) == self.there[name]:
            what = f"The object {name}{place} has {self.there[name]} bytes, not {size}."
            return Fault(self.name, name, what)
        # The small objects at hand are read at every level.
        if level is VerifyLevel.QUICK and (self.name == REMOTE_TIER or directory_of(name) == "packs"):
            return None
        try:
            why = self._look_into(name)
        except MissingObjectError:
            gone = self._is_missed(name)
            return Fault(self.name, name, f"The object {name} is missing{place}.", missing=True) if gone else None
        return None if why is None else Fault(self.name, name, why)

    def _look_into(self, name: str) -> str | None:
        place = " in the remote copy" if self.name == REMOTE_TIER else ""
        try:
            if directory_of(name) == "packs":
                found, size = digest(self.backend, name)
                self._bytes += size
                if found == pack_digest(name):
                    return None
                return f"The pack {name}{place} does not match its checksum."
            data = self.backend.read(name, BYTES_MAX[directory_of(name)])
            self._bytes += len(data)
            self._check(name, data)
        except MissingObjectError:
            raise
        except (IntegrityError, FormatError) as error:
            return error.message.removesuffix(".") + f"{place}."
        return None

    def _check(self, name: str, data: bytes) -> None:
        if directory_of(name) == bundles.DIRECTORY:
            bundles.decode_bundle(data, name, self._repository.sealer)
        else:
            check_object(self._repository, name, data)

    def _is_missed(self, name: str) -> bool:
        """Whether something that a listing did not show, or that is gone since, should be there."""
        if self.backend.size(name) is not None:
            return False
        if name == HEADER_NAME:
            return True
        remote = self._repository.remote
        if remote is not None and self.name == REMOTE_TIER and name in remote.memory.lost():
            return True
        # What a prune beside this takes is forgotten before it goes; else the chunks that went with it are missed.
        if remote is None or not remote.memory.holds(name):
            return False
        if self.name == LOCAL_TIER:
            return name not in self.there
        if not remote.memory.fact(WRITER):
            # Its writer is elsewhere and may have removed this; if not, checkpoints miss what it held.
            remote.memory.remove([name])
            return False
        return True


def local_tier(repository: Repository, *, complete: bool) -> Tier:
    """The home. With `complete` packs should be here that only the remote copy holds."""
    repository.synchronise()
    backend, remote = repository.backend, repository.remote
    directories = [one for one in ("manifests", "packs", "marks", "keys") if not backend.missing([one])]
    there = {name: size for one in directories for name, size in backend.list(one).items()}
    there[HEADER_NAME] = backend.size(HEADER_NAME) or 0
    known = repository.index.packs()
    expected: dict[str, int | None] = {name: known.get(name) for name in there}
    if remote is not None:
        expected |= dict.fromkeys(remote.memory.below("manifests").keys() - there.keys())
        if "marks" in directories:
            ids = {marks_name(one.id) for one in repository.checkpoints()}
            expected |= dict.fromkeys((remote.memory.below("marks").keys() & ids) - there.keys())
        if complete:
            expected |= dict.fromkeys(remote.memory.below("packs").keys() - there.keys())
    return Tier(repository, LOCAL_TIER, backend, expected, there)


def remote_tier(repository: Repository) -> Tier:
    """The remote copy, listed now and read past the cache.

    Raises:
        UnavailableError, PermissionRefusedError: it cannot be listed.
    """
    remote = repository.remote_copy
    expected: dict[str, int | None] = {}
    for directory in MIRRORED:
        expected |= remote.memory.below(directory)
    expected |= dict.fromkeys(remote.memory.lost())
    backend = remote.uncached
    there = {name: size for one in MIRRORED for name, size in backend.entries(one)}
    if there or expected:
        expected[HEADER_NAME] = None
        size = backend.size(HEADER_NAME)
        if size is not None:
            there[HEADER_NAME] = size
    return Tier(repository, REMOTE_TIER, backend, expected, there)


def mend_memory(repository: Repository, faults: Iterable[Fault]) -> None:
    """What is gone from the remote copy counts as not replicated, so that the next replication sends it again.

    Gone packs are remembered as lost: until they are there again, no checkpoint counts as replicated.
    """
    gone = [one.name for one in faults if one.tier == REMOTE_TIER and one.missing]
    if not gone or repository.read_only:
        return
    memory = repository.remote_copy.memory
    packs = [one for one in gone if directory_of(one) == "packs"]
    memory.lose(packs)
    memory.remove(one for one in gone if directory_of(one) != "packs")
    if HEADER_NAME in gone:
        memory.set_fact("header", "")


def names_of(checkpoints: Iterable[Checkpoint], packs: Iterable[str]) -> set[str]:
    """The objects that these checkpoints are: their manifests and marks, these packs, and the header."""
    names = {HEADER_NAME, *packs}
    for one in checkpoints:
        names |= {manifest_name(one.seq), marks_name(one.id)}
    return names
