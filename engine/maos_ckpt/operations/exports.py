"""Exporting a checkpoint as plain files."""

from __future__ import annotations

from pathlib import Path

from maos_ckpt import export as exporting
from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Selection
from maos_ckpt.model.contents import ExportedFile
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery.damage import naming_damage


def export(workspace: Workspace, name: str, directory: Path, progress: ProgressSink) -> list[ExportedFile]:
    """A checkpoint as plain files below `directory`.

    Raises:
        IntegrityError: the checkpoint is damaged; `data` as `naming_damage` gives it.
    """
    with workspace.reading() as repository:
        checkpoint = repository.resolve(name)
        try:
            with naming_damage(repository, checkpoint, Selection(exact=True)):
                return exporting.export(repository, checkpoint, directory, progress, workspace.seams)
        except IntegrityError as error:
            if "damaged" not in error.data:
                raise
            sound, nearest = error.data["sound"], error.data["nearest"]
            hints = [f"export {nearest}, the nearest checkpoint that is sound"] if nearest else []
            if isinstance(sound, list) and sound:
                parts = " ".join(f"--component {one}" for one in sound)
                hints.append(f"`maos-ckpt restore {checkpoint.id} --to dir:DIR {parts}` writes the sound part")
            hints.append("`maos-ckpt verify --all --repair` mends what another tier still has")
            hint = f"{'; or '.join(hints)}."
            raise IntegrityError(
                error.message, kept="Nothing was written.", hint=hint[0].upper() + hint[1:], **error.data
            ) from error
