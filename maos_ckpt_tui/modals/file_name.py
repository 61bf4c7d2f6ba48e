"""Where to write a record or transcript to: a new file on the machine that the console runs on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from textual.widget import Widget

from maos_ckpt.ids import short_id
from maos_ckpt_tui.explore.position import LIVE
from maos_ckpt_tui.explore.things import Thing
from maos_ckpt_tui.modals.prompt import PromptModal, text_input
from maos_ckpt_tui.widgets.lines import Paragraphs

_NAME_CHARACTERS_MAX = 60


def suggested(thing: Thing, place: str) -> str:
    """A harmless file name for a thing at a place in time."""
    words = thing.transcript.rpartition("/")[2].removesuffix(".jsonl") or f"{thing.collection}-{thing.key}"
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", words).strip("-")[:_NAME_CHARACTERS_MAX]
    when = LIVE if place == LIVE else short_id(place)
    return f"{name or 'record'}-{when}{'.jsonl' if thing.transcript else '.json'}"


class FileNameModal(PromptModal):
    """Ends with a path, or None."""

    def __init__(self, thing: Thing, place: str) -> None:
        what = "The transcript's lines as they were" if thing.transcript else "The record as JSON, values in full"
        intro = f"{what}, to a new file in {Path.cwd()}, or at another path; a file that is there is left alone."
        super().__init__("Write to which file?", intro, "path", "write")
        self._suggested = suggested(thing, place)

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield Paragraphs([(self._intro, "dim"), ("", "plain")])
        yield text_input(self._label, "text", self._suggested)
