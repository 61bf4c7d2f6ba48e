"""What to do where a checkpoint is damaged in the part that is wanted: which checkpoint, or which part, is sound."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint, Selection, Trigger
from maos_ckpt.recovery.lookup import every
from maos_ckpt.recovery.selection import Matcher
from maos_ckpt.repository.repository import Repository
from maos_ckpt.states import CollectionName, StoredState
from maos_ckpt.tree.large import load_row

#: Checkpoints that are read in search of a sound one: so many older ones, and so many newer ones.
CANDIDATES_MAX: Final = 4


@contextlib.contextmanager
def naming_damage(repository: Repository, checkpoint: Checkpoint, selection: Selection) -> Iterator[None]:
    """Let a fault in stored bytes say where the checkpoint is damaged, and what serves instead.

    Raises:
        IntegrityError: `data` has `checkpoint`, `damaged` (collections), `nearest` (a sound checkpoint's id, or None)
            and `sound` (components that are selected and whole).
    """
    try:
        yield
    except IntegrityError as error:
        found = _Search(repository, selection).error(checkpoint, error)
        if found is None:
            raise
        raise found from error


def distrust_latest(repository: Repository, error: IntegrityError) -> bool:
    """Note that the newest checkpoint, which the live state was read from, is damaged; False where that is known
    already or cannot be noted. From now on the live state itself is read, and the next save stores the chunk anew."""
    chunk, latest = error.data.get("chunk"), repository.latest()
    if not isinstance(chunk, str) or latest is None or repository.read_only:
        return False
    found = repository.index.find(bytes.fromhex(chunk))
    if found is None or found[1].id in repository.index.damaged(found[0]):
        return False
    repository.index.mark_damaged(found[0], (found[1].id,))
    repository.set_marks(latest, damaged=True)
    return True


class _Search:
    """Reads collections in full, each version once."""

    def __init__(self, repository: Repository, selection: Selection) -> None:
        self._repository = repository
        self._selection = selection
        self._known: dict[bytes, bool] = {}

    def error(self, checkpoint: Checkpoint, cause: IntegrityError) -> IntegrityError | None:
        """What is wrong with the wanted part of a checkpoint; None where nothing is."""
        damaged = self._damaged(checkpoint)
        if not damaged:
            return None
        components = dict.fromkeys(name[0] for name in self._wanted(checkpoint))
        sound = [one for one in components if one not in {name[0] for name in damaged}]
        nearest = self._nearest(checkpoint)
        hints = [f"restore {nearest} instead, the nearest one whose part is sound"] if nearest else []
        if sound:
            hints.append(f"take the sound part alone: {' '.join(f'--component {one}' for one in sound)}")
        hints.append("`maos-ckpt verify --all --repair` mends what another tier still has")
        paths, hint = ["/".join(name) for name in damaged], "; or ".join(hints)
        return IntegrityError(
            f"Checkpoint {checkpoint.id} is damaged in {', '.join(paths)}: {cause.message}",
            kept="Nothing live was changed.",
            hint=f"{hint[0].upper()}{hint[1:]}.",
            checkpoint=checkpoint.id,
            damaged=paths,
            nearest=nearest,
            sound=sound,
        )

    def _nearest(self, checkpoint: Checkpoint) -> str | None:
        others = [one for one in self._repository.checkpoints() if one.trigger is not Trigger.SAFETY]
        # Who goes back to one before an incident does not want a newer one, which may hold it.
        older = [one for one in others if one.seq < checkpoint.seq][:CANDIDATES_MAX]
        newer = [one for one in others if one.seq > checkpoint.seq][-CANDIDATES_MAX:]
        return next((one.id for one in (*older, *reversed(newer)) if not self._damaged(one)), None)

    def _wanted(self, checkpoint: Checkpoint) -> list[CollectionName]:
        state = StoredState(self._repository, checkpoint)
        names = [(one.component, one.name) for one in checkpoint.collections]
        try:
            matcher = Matcher(self._selection, state, state)
            return [name for name in names if matcher.collection(name)]
        except IntegrityError:
            # Where even whose agents they are cannot be read, every collection may be meant.
            return names

    def _damaged(self, checkpoint: Checkpoint) -> list[CollectionName]:
        state = StoredState(self._repository, checkpoint)
        return [name for name in self._wanted(checkpoint) if not self._is_sound(state, name)]

    def _is_sound(self, state: StoredState, name: CollectionName) -> bool:
        root = state.root(name)
        if root is None:
            return True
        if root not in self._known:
            try:
                state.descriptors()
                for _, value in every(state, name):
                    load_row(value, state.get)
                self._known[root] = True
            except IntegrityError:
                self._known[root] = False
        return self._known[root]
