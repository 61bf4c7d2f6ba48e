"""The indexes of packs that only the remote copy holds, brought into the home's chunk index."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from maos_ckpt.errors import CkptError, FormatError, IntegrityError
from maos_ckpt.model import Progress
from maos_ckpt.replication import bundles
from maos_ckpt.replication.fetch import each
from maos_ckpt.repository.packs import Stored, parse_index
from maos_ckpt.repository.repository import Repository

_LOG = logging.getLogger(__name__)
ProgressSink = Callable[[Progress], None]
#: With fewer objects missing than this, reading them one by one is quicker than reading bundles.
FEW = 8


def read_bundle(repository: Repository, name: str) -> bundles.Bundle:
    """A bundle, or an empty one where it cannot be read: its contents lie elsewhere as well."""
    try:
        data = repository.remote_copy.backend.read(name, bundles.STORED_BYTES_MAX)
        return bundles.decode_bundle(data, name, repository.sealer)
    except IntegrityError as error:
        _LOG.warning("%s Its contents are read one by one.", error.message)
        return bundles.Bundle([], [])


def index_remote(repository: Repository, progress: ProgressSink = lambda _: None) -> None:
    """Enter packs that only the remote copy holds into the home's chunk index, from bundles, or from their ends.

    Raises:
        UnavailableError, PermissionRefusedError: the remote copy cannot be read now; what was entered counts.
    """
    remote = repository.remote_copy
    missing = repository.unindexed()
    if len(missing) > FEW:
        names = bundles.of_kind(remote.memory.below(bundles.DIRECTORY), bundles.PACKS)
        for number, name in enumerate(reversed(names)):
            if not missing:
                return
            progress(Progress("pull", "indexes", number, len(names)))
            known = []
            for pack in read_bundle(repository, name).packs:
                # The size is a listing's: a pack of another size than the bundle says is read for itself.
                if missing.get(pack.name) == pack.size:
                    with contextlib.suppress(IntegrityError):
                        index = parse_index(pack.name, pack.size, pack.tail, repository.sealer)
                        repository.index.add_pack(pack.name, pack.size, index)
                        del missing[pack.name]
                known.append(pack.name)
            remote.memory.set_marks(known, bundles.BUNDLED)
    for number, (name, found) in enumerate(each(sorted(missing), lambda name: _index(repository, name, missing))):
        progress(Progress("pull", "packs", number, len(missing)))
        if isinstance(found, CkptError):
            repository.damaged_packs[name] = found
        else:
            repository.index.add_pack(name, missing[name], found)


def _index(repository: Repository, name: str, sizes: dict[str, int]) -> list[Stored] | CkptError:
    try:
        return repository.reader.index(name, sizes[name])
    except (IntegrityError, FormatError) as error:
        return error
