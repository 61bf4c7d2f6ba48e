"""The changes that put single fields of records back."""

from __future__ import annotations

from dataclasses import dataclass

from maos_ckpt.errors import NotFoundError
from maos_ckpt.model import MergePolicy, Row
from maos_ckpt.recovery.fields import put_fields
from maos_ckpt.recovery.json_path import Field
from maos_ckpt.recovery.lookup import Shape
from maos_ckpt.recovery.merge import Merging
from maos_ckpt.sources.change import Alignment, Change
from maos_ckpt.states import CollectionPair, State, StoredState


@dataclass(frozen=True, slots=True)
class FieldChanges:
    """Makes them, from `live` to `target`; `undoes`: fields that the target does not have are taken out."""

    live: State
    target: StoredState
    merge: MergePolicy
    merging: Merging
    undoes: bool

    def change(
        self,
        pair: CollectionPair,
        alignment: Alignment,
        key: bytes,
        before: Row | None,
        after: Row | None,
        fields: tuple[Field, ...],
    ) -> Change | None:
        """The change that puts single fields of a record back; the live row stays as it is in everything else.

        Raises:
            NotFoundError: the checkpoint has no such record, or no such field of it.
        """
        live, path = alignment.live, Change(alignment.live, key, None, None, ()).path
        if (pair.after is None or after is None) and not self.undoes:
            raise NotFoundError(
                f"Checkpoint {self.target.name} has no record {path}, so it has no field of it.",
                kept="Nothing was changed.",
                hint="Choose a checkpoint that holds the record: `maos-ckpt history` tells which.",
                name=fields[0].text,
            )
        if before is None or pair.after is None or after is None:
            for one in fields:
                self.merging.conflicts.add(one.text)
            return None
        found = put_fields(fields, (live, before), (pair.after, after), self.merge, remove=self.undoes)
        for one in found.kept:
            self.merging.kept.add(one.text)
        for one in found.conflicts:
            self.merging.conflicts.add(one.text)
        change = Change(live, key, before, found.row, live.columns)
        if next(change.differing(), None) is None:
            return None
        if self.merge is MergePolicy.KEEP_NEWER:
            was = Shape(live, live.columns, self.live.get).view(change.parts, before)
            then = Shape(pair.after, pair.after.columns, self.target.get).view(change.parts, after)
            return change if self.merging.takes_newer(was, then, path) else None
        return change
