"""Below the tree of a recovery: what enter would take, and the options with what each means."""

from __future__ import annotations

from maos_ckpt.model import MergePolicy, Selection
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.choosing import ALL, Choosing, Id
from maos_ckpt_tui.recovery import named_words
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, fit

_SINGULAR = {"components": "component", "collections": "collection", "single records": "single record"}
_SINGULAR |= {"agents": "agent", "orchestrations": "orchestration", "texts": "text"}
_MERGES = {
    MergePolicy.REPLACE: "what differs live becomes what it was",
    MergePolicy.ADD_MISSING: "adds what is missing, no more",
    MergePolicy.KEEP_NEWER: "adds, and changes what is older live",
}


class SelectionOptions(LineView):
    """Says what the marks amount to, or that enter takes the row under the cursor."""

    def __init__(self, choosing: Choosing) -> None:
        super().__init__(id="options")
        self._choosing = choosing
        self._meant: frozenset[Id] = frozenset()

    def show(self, meant: frozenset[Id]) -> None:
        """What enter would take now."""
        self._meant = meant
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        one, whole = self._choosing, ALL in self._meant
        lines: list[Line] = [fit(self._taken(), width)]
        if whole and one.merge is MergePolicy.REPLACE:
            kept: Line = [(" i exact [x] ", "dim"), ("always: what came since is removed", "warn")]
            lines.append(fit(kept, width))
        else:
            exact = "what came since is removed" if one.exact else "what came since is kept"
            if one.merge is not MergePolicy.REPLACE:
                exact = "no: this merge keeps what came since"
            on = one.exact and one.merge is MergePolicy.REPLACE
            lines.append(fit([(" i", "key"), (f" exact {_switch(on)} ", "strong"), (exact, "plain")], width))
        deps = "what these refer to is added where missing" if one.dependencies else "only what is marked"
        if not whole:
            lines.append(
                fit([(" w", "key"), (f" needs {_switch(one.dependencies)} ", "strong"), (deps, "plain")], width)
            )
        merge: list[Span] = [(f" merge {one.merge.value} ", "strong"), (_MERGES[one.merge], "plain")]
        lines.append(fit([(" M", "key"), *merge], width))
        return lines

    def _taken(self) -> Line:
        if not self._meant:
            return [(" Nothing is marked: ", "warn"), ("space", "key"), (" marks a row, right unfolds it.", "plain")]
        marked = bool(self._choosing.marks)
        counts = self._choosing.counts(self._meant)
        records = counts.pop("records")
        if not marked:
            words = _whole_words(self._choosing.selection(self._meant)) if ALL not in self._meant else "everything"
            return [
                (" enter", "key"),
                (" plans ", "plain"),
                (words, "strong"),
            ]
        parts = [fmt.plural(number, _SINGULAR[kind]) for kind, number in counts.items()]
        what = ", ".join(parts) if ALL not in self._meant else "everything"
        told: Line = [(" Marked: ", "plain"), (what, "strong")]
        if records:
            told.append((f", {fmt.plural(records, 'record')}", "plain"))
        if any(kind in counts for kind in ("agents", "orchestrations", "texts")):
            told.append((" and" if records else ";", "dim"))
            told.append((" the plan counts what belongs to it", "dim"))
        return told


def _whole_words(selection: Selection) -> str:
    with_it = " and all that is its" if selection.agents or selection.orchestrations else ""
    return named_words(selection) + with_it


def _switch(on: bool) -> str:
    return "[x]" if on else "[ ]"
