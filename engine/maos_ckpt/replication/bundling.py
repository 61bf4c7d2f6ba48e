"""Gathering what lies in the remote copy into few objects, so that a new machine needs few requests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from maos_ckpt.errors import FormatError, IntegrityError, LeaseHeldError
from maos_ckpt.replication import bundles
from maos_ckpt.replication.indexes import read_bundle
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.repository import Repository


def require_held(held: bool) -> None:
    """Raise `LeaseHeldError` where the lease turned out to be another machine's by now."""
    if not held:
        raise LeaseHeldError(
            "Another machine writes to this system by now.",
            kept="Every checkpoint is safe in the repository; what waits is sent once that machine is done.",
        )


class Bundling:
    """Makes the bundles of one repository's remote copy, under its lease."""

    def __init__(self, repository: Repository, lease: RemoteLease) -> None:
        self._repository = repository
        self._remote = repository.remote_copy
        self._lease = lease

    def bundle(self) -> None:
        """Gather what lies in no bundle yet; when there are many bundles, make few of them without what is gone."""
        memory = self._remote.memory
        fresh = memory.unmarked("manifests", bundles.BUNDLED)
        if len(fresh) < bundles.MANIFESTS_MIN:
            return
        old = list(memory.below(bundles.DIRECTORY))
        merge = len(old) + 2 > bundles.BUNDLES_MAX
        manifests = list(memory.below("manifests")) if merge else fresh
        packs = list(memory.below("packs")) if merge else memory.unmarked("packs", bundles.BUNDLED)
        written: list[str] = []
        seq = manifests[-1].rpartition("/")[2]
        self._write_bundles(seq, bundles.MANIFESTS, bundles.divide_manifests(self._manifests(manifests)), written)
        self._write_bundles(seq, bundles.PACKS, bundles.divide_packs(self._indexes(packs, old)), written)
        memory.set_marks([*manifests, *packs], bundles.BUNDLED)
        if merge:
            self._remote.remove([name for name in old if name not in written])

    def _write_bundles(self, seq: str, kind: str, contents: Iterator[bundles.Bundle], written: list[str]) -> None:
        for number, bundle in enumerate(contents):
            name = bundles.bundle_name(seq, kind, number)
            data = bundles.encode_bundle(bundle, name, self._repository.sealer)
            require_held(self._lease.renew())
            self._remote.backend.replace(name, data)
            self._remote.memory.add(name, len(data))
            written.append(name)

    def _manifests(self, names: list[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            # One that cannot be read here is left to be read by itself.
            with contextlib.suppress(IntegrityError, FormatError):
                data = self._repository.manifest_bytes(name)
                if data is not None:
                    yield name, data

    def _indexes(self, names: list[str], old: list[str]) -> Iterator[bundles.PackIndex]:
        """Ends of packs: from their files, where there is none from older bundles, at last from the remote copy."""
        sizes = self._remote.memory.below("packs")
        here = self._repository.backend.list("packs")
        elsewhere = {name for name in names if name not in here and name in sizes}
        for bundle in bundles.of_kind(old, bundles.PACKS) if elsewhere else []:
            for pack in read_bundle(self._repository, bundle).packs:
                if pack.name in elsewhere and sizes[pack.name] == pack.size:
                    elsewhere.remove(pack.name)
                    yield pack
        for name in names:
            if name in sizes and (name in here or name in elsewhere):
                with contextlib.suppress(IntegrityError):
                    yield bundles.PackIndex(name, sizes[name], self._repository.reader.tail(name, sizes[name]))
