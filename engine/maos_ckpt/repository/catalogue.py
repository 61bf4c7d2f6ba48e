"""The checkpoints of a repository: manifests committed, found and removed, and the marks beside them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.crypto import Sealer
from maos_ckpt.errors import CkptError, ConflictError, FormatError, IntegrityError, MissingObjectError, working_on
from maos_ckpt.ids import resolve
from maos_ckpt.model import Checkpoint, CheckpointState, Trigger
from maos_ckpt.repository.manifests import (
    MANIFEST_BYTES_MAX,
    Manifest,
    decode_manifest,
    encode_manifest,
    manifest_name,
    manifest_seq,
    to_checkpoint,
)
from maos_ckpt.repository.marks import DIRECTORY, MarkStore
from maos_ckpt.repository.remote import RemoteCopy

_LOG = logging.getLogger(__name__)
#: Objects that one warning names.
_NAMED_MAX = 3

#: How every name that counts back from the newest begins.
_LATEST = "latest"


def named_among(name: str, newest_first: Sequence[Checkpoint]) -> Checkpoint:
    """The checkpoint that `name` means: an id, a unique part of one, `latest`, `latest~N`.

    `latest` passes over safety checkpoints: those hold what a recovery wrote over, and whoever asks for the latest
    state twice must not get the damage back. It passes over damaged ones, too.

    Raises:
        NotFoundError, UsageError: see `ids.resolve`.
    """
    meant = newest_first
    if name.startswith(_LATEST):
        meant = [one for one in meant if one.trigger is not Trigger.SAFETY] or meant
        meant = [one for one in meant if one.state is not CheckpointState.DAMAGED] or meant
    wanted = resolve(name, [one.id for one in meant])
    return next(one for one in newest_first if one.id == wanted)


class Catalogue:
    """The checkpoints of the repository (by id) in `path`; of those in its remote copy what is remembered of them.

    Looking needs no lease; whoever changes something holds it.
    """

    def __init__(
        self, path: Path, repository: str, backend: LocalBackend, sealer: Sealer, remote: RemoteCopy | None
    ) -> None:
        self.path = path
        self.backend = backend
        self.sealer = sealer
        self.remote = remote
        self._repository = repository
        self._marks = MarkStore(backend, sealer)
        self._manifests: dict[str, Checkpoint] = {}
        self._resolved: dict[str, int] = {}

    def checkpoints(self) -> list[Checkpoint]:
        """All committed checkpoints, newest first; those whose manifest is damaged are left to `damaged_manifests`."""
        return [one for one, _ in self._read_manifests() if one is not None]

    def damaged_manifests(self) -> dict[str, str]:
        """Manifests that cannot be read: object name → what is wrong."""
        return {str(why.data["object"]): str(why) for _, why in self._read_manifests() if why is not None}

    def _read_manifests(self) -> Iterator[tuple[Checkpoint | None, CkptError | None]]:
        names = sorted(self.backend.list("manifests"), reverse=True)
        marked = self._marks.names()
        # With packs lost there, nothing says which of its checkpoints are whole.
        whole = self.remote is not None and not self.remote.memory.lost()
        replicated = self.remote.memory.below("manifests") if self.remote is not None and whole else {}
        cached = {name: self._manifests[name] for name in names if name in self._manifests}
        self._manifests = cached
        for name in names:
            try:
                if name not in cached:
                    cached[name] = to_checkpoint(self._decoded(name, self.backend.read(name, MANIFEST_BYTES_MAX)))
                checkpoint = cached[name]
            except MissingObjectError:
                # Removed since the listing, by a retention beside this.
                continue
            except (IntegrityError, FormatError) as error:
                error.data.setdefault("object", name)
                yield None, error
                continue
            checkpoint = self._marks.apply(checkpoint, marked)
            if checkpoint.state is CheckpointState.COMMITTED and name in replicated:
                checkpoint = dataclasses.replace(checkpoint, state=CheckpointState.REPLICATED)
            yield checkpoint, None

    def _decoded(self, name: str, data: bytes) -> Manifest:
        manifest = decode_manifest(data, name, self.sealer)
        if manifest.repository != self._repository:
            raise IntegrityError(f"The manifest {name} is of another repository.", object=name)
        return manifest

    def resolve(self, name: str) -> Checkpoint:
        """The checkpoint that `name` means (see `named_among`); a warning tells of damaged ones that `latest` passed
        over."""
        checkpoints = self.checkpoints()
        found = named_among(name, checkpoints)
        self._resolved[found.id] = found.seq
        if name.startswith(_LATEST):
            self._tell_of_hidden(name, found, checkpoints)
        return found

    def _tell_of_hidden(self, name: str, found: Checkpoint, checkpoints: list[Checkpoint]) -> None:
        hidden = [one for one in self.damaged_manifests() if one > manifest_name(found.seq)]
        damaged = [one.id for one in checkpoints if one.state is CheckpointState.DAMAGED and one.seq > found.seq]
        for which, what in ((hidden, "cannot be read"), (damaged, "damaged")):
            if which:
                more = f" and {len(which) - _NAMED_MAX} more" if len(which) > _NAMED_MAX else ""
                verb = "" if which is hidden else "are " if len(which) > 1 else "is "
                _LOG.warning(
                    "%s%s %s%s, so `%s` is %s; `maos-ckpt verify --all` says what is wrong.",
                    ", ".join(which[:_NAMED_MAX]),
                    more,
                    verb,
                    what,
                    name,
                    found.id,
                )

    @property
    def marks_lost(self) -> bool:
        """Whether the folder of marks is gone, so that all checkpoints count as pinned until a writer makes it anew."""
        return self._marks.lost

    def removed_meanwhile(self) -> list[str]:
        """Ids that were resolved here and whose checkpoints another process has removed since."""
        there = self.backend.list("manifests")
        return [one for one, seq in self._resolved.items() if manifest_name(seq) not in there]

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint."""
        return next((one for one, _ in self._read_manifests() if one is not None), None)

    def next_seq(self) -> int:
        """The sequence number of the next checkpoint: one above the highest ever given."""
        return max(self._highest_seq(), self._marks.sequence_floor()) + 1

    def _highest_seq(self) -> int:
        """The highest number of a manifest that is there, else 0; files of another form count for nothing."""
        return max((manifest_seq(name) or 0 for name in self.backend.list("manifests")), default=0)

    def commit(self, manifest: Manifest) -> Checkpoint:
        """Create the manifest: the commit point.

        Raises:
            ConflictError: somebody else owns this sequence number.
        """
        with working_on(manifest.id):
            created = self.backend.create(manifest_name(manifest.seq), encode_manifest(manifest, self.sealer))
        if not created:
            raise ConflictError(
                "Another process committed a checkpoint at the same moment.",
                kept="Both its checkpoint and all earlier ones are safe.",
                hint="Save again.",
            )
        return to_checkpoint(manifest)

    def set_marks(
        self,
        checkpoint: Checkpoint,
        *,
        pinned: bool | None = None,
        tags: list[str] | None = None,
        damaged: bool | None = None,
    ) -> Checkpoint:
        """Change a checkpoint's pin, tags or damaged mark; None leaves as it is now, whatever was known before."""
        with working_on(checkpoint.id):
            self._restore_marks()
            # Somebody may have pinned or tagged it since it was read.
            now = self._marks.apply(checkpoint, self._marks.names())
            is_damaged = now.state is CheckpointState.DAMAGED if damaged is None else damaged
            # What a safety checkpoint was pinned with must not pass for a person's pin.
            was_pinned = now.pinned and (now.marked or now.trigger is not Trigger.SAFETY)
            changed = dataclasses.replace(
                now,
                tags=now.tags if tags is None else tuple(tags),
                pinned=was_pinned if pinned is None else pinned,
                marked=True,
                state=CheckpointState.DAMAGED if is_damaged else CheckpointState.COMMITTED,
            )
            self._marks.store(changed)
        return changed

    def _restore_marks(self) -> None:
        """Make a lost `marks` folder anew. Which checkpoints were pinned is not known any more, so all of them are."""
        if self._marks.lost:
            checkpoints = self.checkpoints()
            self._marks.make_anew(checkpoints)
            _LOG.warning(
                "The folder %s was gone: it was made anew, and all %d checkpoints are pinned, since which ones were "
                "is not known any more. `maos-ckpt unpin` gives them back to retention.",
                self.path / DIRECTORY,
                len(checkpoints),
            )

    def remove(self, checkpoint: Checkpoint) -> None:
        """Delete a checkpoint's manifest, then its marks; its chunks stay until a prune."""
        name = manifest_name(checkpoint.seq)
        with working_on(checkpoint.id):
            if checkpoint.seq >= self._highest_seq():
                # A number is never given twice, even when the newest checkpoint goes: readers cache by it. Older ones
                # go without a write, so that a prune works on a full disk.
                self._marks.raise_sequence_floor(checkpoint.seq)
            if self.remote is not None:
                # That a manifest is not here does not say that it should go there: only this does.
                self.remote.memory.doom_known(name)
            self.backend.delete(name)
            self._manifests.pop(name, None)
            self._marks.forget(checkpoint)

    def manifest_bytes(self, name: str) -> bytes | None:
        """A manifest as it is stored, after a look that it can be read; None where it was removed.

        Raises:
            IntegrityError, FormatError: it cannot be read.
        """
        try:
            data = self.backend.read(name, MANIFEST_BYTES_MAX)
        except MissingObjectError:
            return None
        self._decoded(name, data)
        return data

    def put_manifest(self, name: str, data: bytes) -> None:
        """Take a manifest over as it is; see `adoption.adopt`."""
        self.backend.replace(name, data)
        self._manifests.pop(name, None)

    def adopt_marks(self, name: str, data: bytes, synced: bytes) -> None:
        """Take a checkpoint's marks, or the sequence floor, over from the remote copy.

        Args:
            synced: SHA-256 of what this home last sent or took over. Where it has changed its own marks since, both
                count: what one side pinned or tagged stays so.
        """
        self._marks.adopt(name, data, synced)

    def forget(self, checkpoint: Checkpoint) -> None:
        """Drop a checkpoint that another machine's retention has removed."""
        name = manifest_name(checkpoint.seq)
        self.backend.delete(name)
        self._manifests.pop(name, None)
        self._marks.forget(checkpoint)

    def strays(self) -> set[str]:
        """Manifests that the remote copy holds and this home does not: while there are some, what they need is not
        known, and nothing may be removed."""
        if self.remote is None:
            return set()
        there = self.remote.memory.below("manifests")
        return there.keys() - self.backend.list("manifests").keys()

    def leave_room(self, numbers: int) -> None:
        """Let the next checkpoint's sequence number be at least so far above all that are known."""
        self._marks.raise_sequence_floor(self.next_seq() - 1 + numbers)
