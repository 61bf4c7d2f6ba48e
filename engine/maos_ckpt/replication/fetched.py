"""What a pull reads of the remote copy before it changes anything: the listing, and small objects that are new."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from maos_ckpt.codec.slots import SLOT_BYTES_MAX
from maos_ckpt.errors import IntegrityError, MissingObjectError
from maos_ckpt.model import Progress
from maos_ckpt.replication import bundles
from maos_ckpt.replication.doomed import read_doomed
from maos_ckpt.replication.fetch import each
from maos_ckpt.replication.indexes import FEW, read_bundle
from maos_ckpt.replication.removed import Removed, read_removed
from maos_ckpt.repository.keyring import DIRECTORY as KEYS
from maos_ckpt.repository.keyring import ENCRYPTION
from maos_ckpt.repository.manifests import MANIFEST_BYTES_MAX
from maos_ckpt.repository.marks import MARKS_BYTES_MAX
from maos_ckpt.repository.repository import Repository

_LOG = logging.getLogger(__name__)
ProgressSink = Callable[[Progress], None]


@dataclass(slots=True)
class Fetched:
    """What was read of the remote copy: its listing, and contents by name."""

    listed: dict[str, int]
    doomed: dict[str, int]
    removed: Removed
    manifests: dict[str, bytes] = field(default_factory=dict)
    marks: dict[str, bytes] = field(default_factory=dict)
    slots: dict[str, bytes] = field(default_factory=dict)

    def below(self, directory: str) -> list[str]:
        """Names that are listed below a directory."""
        return [name for name in self.listed if name.startswith(f"{directory}/")]


def fetch_all(repository: Repository, progress: ProgressSink) -> Fetched:
    """Read what the home does not have yet; changes nothing.

    Raises:
        UnavailableError, PermissionRefusedError: the remote copy cannot be read.
    """
    remote = repository.remote_copy
    fetched = Fetched(dict(remote.listing()), read_doomed(remote), read_removed(remote))
    here, known = repository.backend.list("manifests"), remote.memory.below("manifests")
    doomed = remote.memory.doomed("manifests")
    # Also one of a number that this home has given to a checkpoint of its own, and never sent.
    wanted = {n for n in fetched.below("manifests") if (n not in here or n not in known) and n not in doomed}
    if len(wanted) > FEW:
        _manifests_of_bundles(repository, fetched, wanted, progress)
    left = sorted(wanted - fetched.manifests.keys())
    for number, (name, data) in enumerate(each(left, lambda name: _content(repository, name, MANIFEST_BYTES_MAX))):
        progress(Progress("pull", "manifests", number, len(left)))
        if data is not None:
            fetched.manifests[name] = data
    for name, data in each(fetched.below("marks"), lambda name: _content(repository, name, MARKS_BYTES_MAX)):
        if data:
            fetched.marks[name] = data
    if ENCRYPTION in repository.header.features:
        missing = fetched.listed.keys() - repository.backend.list(KEYS).keys() - remote.memory.doomed(KEYS).keys()
        for name in sorted(one for one in missing if one.startswith(f"{KEYS}/")):
            fetched.slots[name] = _content(repository, name, SLOT_BYTES_MAX) or b""
    return fetched


def _content(repository: Repository, name: str, bytes_max: int) -> bytes | None:
    """An object's bytes; none of one that is larger than such objects are, None where it was removed meanwhile."""
    try:
        return repository.remote_copy.backend.read(name, bytes_max)
    except MissingObjectError:
        return None
    except IntegrityError as error:
        _LOG.warning("%s", error.message)
        return b""


def _manifests_of_bundles(repository: Repository, fetched: Fetched, wanted: set[str], progress: ProgressSink) -> None:
    names = bundles.of_kind(fetched.below(bundles.DIRECTORY), bundles.MANIFESTS)
    for number, name in enumerate(reversed(names)):
        if fetched.manifests.keys() >= wanted:
            return
        progress(Progress("pull", "bundles", number, len(names)))
        bundle = read_bundle(repository, name)
        for manifest, data in bundle.manifests:
            if manifest in wanted and fetched.listed.get(manifest) == len(data):
                fetched.manifests[manifest] = data
