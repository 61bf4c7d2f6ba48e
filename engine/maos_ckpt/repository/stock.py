"""Which packs a repository has, here and in its remote copy, and what the chunk index knows of them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from maos_ckpt.errors import CkptError, ConflictError, FormatError, IntegrityError
from maos_ckpt.repository.catalogue import Catalogue
from maos_ckpt.repository.chunks import ChunkStore
from maos_ckpt.repository.index import ChunkIndex
from maos_ckpt.repository.pack_reader import PackReader
from maos_ckpt.repository.remote import RemoteCopy


class PackStock(Catalogue):
    """The packs of a repository, beside its checkpoints.

    Looking needs no lease; whoever removes something holds it.
    """

    reader: PackReader
    index: ChunkIndex
    chunks: ChunkStore
    #: Packs that cannot be used, and why.
    damaged_packs: dict[str, CkptError]

    def open_index(self, path: Path | None, opened: contextlib.ExitStack) -> None:
        """Open what reads packs and knows their chunks (in memory where `path` is None); `opened` closes it."""
        self.reader = PackReader(self.backend, self.sealer, self.remote)
        opened.callback(self.reader.close)
        self.index = ChunkIndex(path)
        opened.callback(self.index.close)
        self.chunks = ChunkStore(self.index, self.reader, self._find_more, self.sealer)
        self.damaged_packs = {}

    @property
    def remote_copy(self) -> RemoteCopy:
        """The remote copy, for those who work on one."""
        assert self.remote is not None, "this repository has no remote copy"
        return self.remote

    def packs(self) -> dict[str, int]:
        """All packs, those included that only the remote copy holds, with their sizes in bytes."""
        elsewhere = {} if self.remote is None else self.remote.memory.below("packs")
        return elsewhere | self.backend.list("packs")

    def synchronise(self) -> None:
        """Bring the chunk index up to date with the packs that are there; asks no remote side.

        Packs that only the remote copy holds are entered by `pull`, or by `index_packs` when a chunk is missed.
        """
        there = self.packs()
        known = self.index.packs()
        for name in known.keys() - there.keys():
            self.index.remove_pack(name)
            self.reader.forget(name)
        for name in self.damaged_packs.keys() - there.keys():
            del self.damaged_packs[name]
        self.index_packs({name: size for name, size in self.backend.list("packs").items() if name not in known})

    def index_packs(self, sizes: dict[str, int]) -> None:
        """Enter packs of these sizes into the chunk index, from their own ends.

        Raises:
            UnavailableError, PermissionRefusedError: one lies in the remote copy alone, and that cannot be read now.
        """
        for name in sorted(sizes):
            try:
                self.index.add_pack(name, sizes[name], self.reader.index(name, sizes[name]))
            except (IntegrityError, FormatError) as error:
                # One unreadable pack must not keep the rest from being used; what it held shows as missing.
                self.damaged_packs[name] = error

    def unindexed(self) -> dict[str, int]:
        """Packs that only the remote copy holds and the chunk index does not know, with their sizes in bytes."""
        if self.remote is None:
            return {}
        known = self.index.packs().keys() | self.damaged_packs.keys()
        return {name: size for name, size in self.remote.memory.below("packs").items() if name not in known}

    def _find_more(self) -> None:
        """Somebody misses a chunk: look at all packs there are, wherever they lie.

        Raises:
            UnavailableError, PermissionRefusedError: the remote copy has to be asked, and cannot be.
        """
        if self.remote is not None:
            self.remote.learn()
        self.synchronise()
        self.index_packs(self.unindexed())

    def check_packs_present(self) -> None:
        """Look once more, just before a commit, that no pack vanished on which the new checkpoint counts.

        Raises:
            ConflictError: one did.
        """
        gone = self.index.packs().keys() - self.packs().keys()
        if gone:
            raise ConflictError(
                f"{len(gone)} packs were removed from the repository while it was being saved to.",
                kept="No checkpoint was committed on top of them.",
                hint="Run `maos-ckpt verify --all`, then save again.",
                gone=sorted(gone)[:5],
            )

    def drop_pack(self, name: str) -> None:
        """Delete a pack: first from the index, so that no save can count on it, then from the disk.

        In the remote copy it is doomed, and goes with a later replication.
        """
        self.index.remove_pack(name)
        self.reader.forget(name)
        if self.remote is not None:
            self.remote.memory.doom_known(name)
        self.backend.delete(name)

    def evict_pack(self, name: str) -> None:
        """Give a local pack's space back where the remote copy holds it, too; it is read from there then.

        Raises:
            ConflictError: it does not.
        """
        if not self.remote_copy.memory.holds(name):
            raise ConflictError(f"The remote copy does not hold {name}, so it stays here.", object=name)
        self.reader.forget(name)
        self.backend.delete(name)

    def stored_bytes(self) -> int:
        """Bytes that packs and manifests take."""
        return sum(self.backend.list("packs").values()) + sum(self.backend.list("manifests").values())
