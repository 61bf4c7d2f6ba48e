"""The changes that put single fields of records back."""

from __future__ import annotations

from dataclasses import dataclass

from maos_ckpt.model import MergePolicy, Row
from maos_ckpt.recovery.fields import put_fields, without_record
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
        live = alignment.live
        if (pair.after is None or after is None) and not self.undoes:
            raise without_record(fields[0], self.target.name)
        if before is None or pair.after is None or after is None:
            self.merging.note(conflicts=fields)
            return None
        found = put_fields(fields, (live, before), (pair.after, after), self.merge, remove=self.undoes)
        self.merging.note(found.kept, found.conflicts)
        change = Change(live, key, before, found.row, live.columns)
        if next(change.differing(), None) is None:
            return None
        if self.merge is MergePolicy.KEEP_NEWER:
            was = Shape(live, live.columns, self.live.get).view(change.parts, before)
            then = Shape(pair.after, pair.after.columns, self.target.get).view(change.parts, after)
            return change if self.merging.takes_newer(was, then, change.path) else None
        return change
