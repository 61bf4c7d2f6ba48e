"""What went wrong, what was not lost, what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt.errors import CkptError
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.widgets.lines import Paragraphs

_FACTS_MAX = 8
_FACT_CHARACTERS_MAX = 200

#: Kinds as an operator says them.
_TITLES = {
    "usage": "That cannot be done",
    "config": "The configuration is wrong",
    "not_found": "Not found",
    "conflict": "Not now",
    "lease_held": "Another process is at work",
    "plan_moved": "The live state has moved",
    "foreign_repository": "Not this source's repository",
    "integrity": "Stored bytes are damaged",
    "unavailable": "Not available",
    "source": "The source is not available",
    "storage": "The repository is not available",
    "format": "Written by another version",
    "permission": "Not allowed",
    "engine_unreachable": "The engine is away",
    "partial": "Done in part",
    "interrupted": "Stopped",
}


def error_paragraphs(error: CkptError) -> list[tuple[str, str]]:
    """An error's fields as (text, tone) paragraphs."""
    lines = [(error.message, "plain")]
    if error.kept:
        lines += [("", "plain"), (f"OK {error.kept}", "ok")]
    if error.hint:
        lines += [("", "plain"), (f"Next: {error.hint}", "accent")]
    told = f"{error.message} {error.kept} {error.hint}"
    # What has parts of its own is for machines.
    single = [(key, value) for key, value in error.data.items() if not isinstance(value, dict | list | tuple)]
    facts = [(key, str(value)[:_FACT_CHARACTERS_MAX]) for key, value in single[:_FACTS_MAX]]
    facts = [(key, value) for key, value in facts if value and value not in told]
    if facts:
        lines += [("", "plain"), *((f"{key.replace('_', ' ')}: {value}", "dim") for key, value in facts)]
    return lines


class ErrorModal(Modal[bool]):
    """Shows one `CkptError`; nothing else can be done with it here."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space,q", "cancel", "Close", show=False)]

    def __init__(self, error: CkptError) -> None:
        super().__init__(f"XX {_TITLES.get(error.kind, 'That did not work')}", "bad")
        self._error = error

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield Paragraphs(error_paragraphs(self._error))

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("enter", "close"),)
