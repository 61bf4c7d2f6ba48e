"""Actions of exploring: a state's views, a conversation, a record, its versions, and what a search found."""

from __future__ import annotations

from maos_ckpt_tui.commands.declare import DANGER as _D
from maos_ckpt_tui.commands.declare import NOTHING_YET as _NOTHING_YET
from maos_ckpt_tui.commands.declare import READ as _R
from maos_ckpt_tui.commands.declare import Command, Level, at

EXPLORE = "explore"
CONVERSATION = "conversation"
RECORD = "record"
VERSIONS = "versions"
FOUND = "found"
PART = "part"

_SKIPS = "over checkpoints that hold the same records of its kind"
_Row = tuple[str, str, str, Level, int, str, str]


def _everywhere(first: int) -> tuple[_Row, ...]:
    """What can be done with a thing wherever it is shown; `first` is the rank of the first in the footer."""
    return (
        ("recover", "r", "recover", _D, first, "Recover just this", "shows the plan first; " + _NOTHING_YET),
        ("older", "left", "older", _R, first + 1, "Look at the checkpoint before", "and stay on the same thing"),
        ("newer", "right", "newer", _R, first + 2, "Look at the next one", "behind the newest lies the live state"),
        ("older_change", "shift+left,less_than_sign", "leap", _R, 0, "Go back to where this was other", _SKIPS),
        ("newer_change", "shift+right,greater_than_sign", "leap", _R, 0, "Go on to where this is other", _SKIPS),
        ("diff", "d", "diff live", _R, first + 3, "Show what of this has changed since", "up to the live state"),
        ("history", "H", "history", _R, first + 4, "Show this record's versions", "which checkpoint changed what"),
        ("copy", "y", "copy key", _R, 0, "Copy the key", "and show it, for terminals that refuse"),
        ("export", "e", "export", _R, 14, "Write this to a file", "a record as JSON, a transcript as it was"),
        ("find", "F", "find", _R, 13, "Find a text in all checkpoints", "since when it was there, and until when"),
    )


COMMANDS: tuple[Command, ...] = (
    *at(
        EXPLORE,
        ("open", "enter", "open", _R, 1, "Open it", "an agent opens as its conversation"),
        ("next_view", "tab", "view", _R, 2, "Go to the next view", "agents, tasks, messages, …, all records"),
        ("previous_view", "shift+tab", "view", _R, 0, "Go to the view before", ""),
        *_everywhere(3),
        ("record", "o", "record", _R, 9, "Open the record itself", "all its fields in full"),
        ("problems", "exclamation_mark", "problems", _R, 10, "Show only problems, or all", "failed, blocked, paused"),
        ("filter", "slash", "filter", _R, 11, "Filter the rows", "every word must occur"),
        ("more", "m", "more", _R, 12, "Read more records", "where the list was cut"),
        ("back", "escape", "back", _R, 8, "Go back", ""),
    ),
    *at(
        CONVERSATION,
        ("unfold", "enter,space", "fold", _R, 1, "Fold or unfold this turn", ""),
        ("fold_all", "f", "fold all", _R, 8, "Fold tool calls and thoughts, or unfold", ""),
        ("previous_turn", "left_square_bracket", "prompt before", _R, 0, "Go to the user's turn before", ""),
        ("next_turn", "right_square_bracket", "prompt", _R, 9, "Go to the user's next turn", ""),
        ("search", "slash", "search", _R, 5, "Search this conversation", "n and N go to the next and last match"),
        ("next_match", "n", "next", _R, 0, "Go to the next match", ""),
        ("previous_match", "N", "last", _R, 0, "Go to the match before", ""),
        ("problems", "exclamation_mark", "errors", _R, 6, "Show only what went wrong, or all", "tool errors"),
        *_everywhere(2),
        ("record", "o", "record", _R, 0, "Open this line's record", "as it is stored"),
        ("back", "escape", "back", _R, 4, "Go back", ""),
    ),
    *at(
        RECORD,
        *_everywhere(1),
        ("back", "escape", "back", _R, 2, "Go back", ""),
    ),
    *at(
        VERSIONS,
        ("open", "enter", "open", _R, 1, "Open this version", "the record as it was then"),
        ("mark", "space", "mark", _R, 2, "Mark this version", "to compare another one with it"),
        ("diff", "d", "diff", _R, 3, "Compare two versions", "with the marked one, else with the one before"),
        ("copy", "y", "copy id", _R, 5, "Copy the checkpoint's id", ""),
        ("back", "escape", "back", _R, 4, "Go back", ""),
    ),
    *at(
        FOUND,
        ("open", "enter", "open", _R, 1, "Open it", "in the last checkpoint that holds it"),
        ("history", "H", "history", _R, 2, "Show this record's versions", "which checkpoint changed what"),
        ("copy", "y", "copy key", _R, 4, "Copy the key", ""),
        ("find", "F", "find", _R, 5, "Find another text", ""),
        ("back", "escape", "back", _R, 3, "Go back", ""),
    ),
    *at(
        PART,
        ("unfold", "enter,space", "fold/full", _R, 2, "Fold or unfold; show a field in full", ""),
        ("fold_all", "f", "fold all", _R, 4, "Fold all records, or unfold them", ""),
        ("recover", "r", "recover", _D, 1, "Recover just this", "shows the plan first; " + _NOTHING_YET),
        ("filter", "slash", "filter", _R, 5, "Filter the changes", "by component, key, field or value"),
        ("back", "escape", "back", _R, 3, "Go back", ""),
    ),
)
