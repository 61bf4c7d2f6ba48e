"""What a checkpoint could not read when it was taken, and so does not speak of: see `UNREAD_LINE`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from maos_ckpt.codec.values import decode_key, display_value, encode_key
from maos_ckpt.model import Row, Value
from maos_ckpt.recovery.lookup import lookup
from maos_ckpt.recovery.touched import TRANSCRIPT_FILES, TRANSCRIPTS
from maos_ckpt.sources.maos.transcripts import UNREAD_LINE
from maos_ckpt.states import CollectionPair, State, StoredState
from maos_ckpt.tree.cursor import records

_UNREAD: Final = "has files that could not be read when the checkpoint was taken; they stay as they are"
_INCOMPLETE: Final = "has files that could not be read when the checkpoint was taken; only what was known comes back"


@dataclass(frozen=True, slots=True)
class _Transcript:
    """What the checkpoint knows of one transcript. `left_alone`: it was not read to its end, and there is one live."""

    path: bytes
    known: bool = False
    unread: bool = False
    left_alone: bool = False


class Unread:
    """Tells of differences that say no more than that a file could not be read."""

    def __init__(self, live: State, target: StoredState) -> None:
        self._live = live
        self._target = target
        self._transcript = _Transcript(b"")

    def knows(self, key: bytes) -> bool:
        """Whether the checkpoint holds lines of the transcript that a line's key names."""
        return self._look(key).known

    def of(self, pair: CollectionPair, key: bytes, after: Row | None) -> tuple[str, str] | None:
        """(what is said of the collection, the file) where a difference is such a one, "" for what goes without saying;
        else None."""
        target, path, what = pair.after, decode_key(key)[-1], _UNREAD
        if target is None:
            return None
        if pair.name == TRANSCRIPT_FILES:
            # Its permission bits may be the very reason, and without its lines it would be another file.
            return ("", "") if after is not None and self._look(key).unread else None
        if pair.name == TRANSCRIPTS:
            transcript, path = self._look(key), decode_key(key)[0]
            unread = transcript.left_alone
            if not unread and transcript.unread and after is not None and after[0] is None:
                # What is known of a lost transcript comes back; that there was more does not.
                unread, what = True, _INCOMPLETE
        else:
            place = target.columns.index("content") if "content" in target.columns else None
            unread = place is not None and after is not None and after[place] is None
        return (what, _named(pair, path)) if unread else None

    def _look(self, key: bytes) -> _Transcript:
        path: Value = decode_key(key)[0]
        prefix = encode_key((path,))
        if prefix != self._transcript.path:
            known = self._holds_line(prefix, prefix + b"\xff")
            mark = encode_key((path, UNREAD_LINE))
            unread = known and self._holds_line(mark, mark + b"\0")
            there = unread and next(lookup(self._live, TRANSCRIPT_FILES, [prefix]), None) is not None
            self._transcript = _Transcript(prefix, known, unread, there)
        return self._transcript

    def _holds_line(self, low: bytes, high: bytes) -> bool:
        found = records(self._target.chunks, self._target.root(TRANSCRIPTS), low, high)
        return next(found, None) is not None


def _named(pair: CollectionPair, path: Value) -> str:
    return f"{'/'.join(pair.name)}/{display_value(path)}"
