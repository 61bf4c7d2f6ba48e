"""What differs between two long texts: line by line, and within a changed line word by word. No Textual in here.

`difflib` takes time with the square of what it compares, so everything is bounded; beyond a bound the two are told as
wholly different from where they begin to differ to where they are the same again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from maos_ckpt_tui.changes import common_ends

#: Lines of both sides together that are compared one by one.
LINES_MAX = 4000
#: Pairs of equal lines, one of each side, among which the best are looked for: a line that stands on both sides a
#: thousand times makes a million, which would take minutes.
PAIRS_MAX = 50_000
#: Words of both sides of one changed line that are compared one by one.
WORDS_MAX = 800
#: At least so much of the shorter side's differing part must be words that both have.
ALIKE_MIN = 0.3
#: Lines that are the same beside a change that are shown; what is left out is counted.
CONTEXT = 3
SAME, GONE, CAME, LEFT_OUT = " ", "-", "+", "…"
_WORD = re.compile(r"\w+|\s+|[^\w\s]")

#: A piece of a line, and whether it is what differs.
Piece = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line: `sign` is one of the four above, `pieces` its text; of those left out, `pieces` say how many."""

    sign: str
    pieces: tuple[Piece, ...]


def diff_lines(before: str, after: str) -> Iterator[DiffLine]:
    """The two texts as one sequence of lines with signs."""
    old, new = before.split("\n"), after.split("\n")
    if len(old) + len(new) > LINES_MAX or _pairs(old, new) > PAIRS_MAX:
        yield from _apart(old, new)
        return
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for number, (tag, a, b, c, d) in enumerate(blocks):
        if tag == "equal":
            yield from _same(old[a:b], first=number == 0, last=number == len(blocks) - 1)
        else:
            yield from _changed(old[a:b], new[c:d])


def _pairs(old: Sequence[str], new: Sequence[str]) -> int:
    counts = Counter(new)
    return sum(counts[one] for one in old)


def _apart(old: Sequence[str], new: Sequence[str]) -> Iterator[DiffLine]:
    limit = min(len(old), len(new))
    start = next((at for at in range(limit) if old[at] != new[at]), limit)
    end = next((at for at in range(limit - start) if old[-1 - at] != new[-1 - at]), limit - start)
    yield from _same(old[:start], first=True, last=False)
    yield from _changed(old[start : len(old) - end], new[start : len(new) - end])
    yield from _same(old[len(old) - end :], first=False, last=True)


def _same(lines: Sequence[str], *, first: bool, last: bool) -> list[DiffLine]:
    head, tail = (0 if first else CONTEXT), (0 if last else CONTEXT)
    shown = [DiffLine(SAME, ((one, False),)) for one in lines]
    hidden = len(lines) - head - tail
    if hidden <= 1:
        return shown
    more = DiffLine(LEFT_OUT, ((f"{hidden:,} lines are the same", False),))
    return [*shown[:head], more, *(shown[-tail:] if tail else [])]


def _changed(old: Sequence[str], new: Sequence[str]) -> Iterator[DiffLine]:
    if len(old) != len(new):
        yield from (DiffLine(GONE, ((one, True),)) for one in old)
        yield from (DiffLine(CAME, ((one, True),)) for one in new)
        return
    for one, other in zip(old, new, strict=True):
        gone, came = diff_words(one, other)
        yield DiffLine(GONE, gone)
        yield DiffLine(CAME, came)


def diff_words(before: str, after: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both lines in pieces, each with whether it is what differs."""
    start, end = _whole_words(before, *common_ends(before, after))
    middle = (before[start : len(before) - end], after[start : len(after) - end])
    old, new = (_WORD.findall(one) for one in middle)
    gone: list[Piece] = [(middle[0], True)]
    came: list[Piece] = [(middle[1], True)]
    if len(old) + len(new) <= WORDS_MAX:
        codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        alike = sum(len(word) for tag, a, b, _, _ in codes if tag == "equal" for word in old[a:b] if word.strip())
        # Two sentences that share a word here and there are two sentences.
        if alike >= ALIKE_MIN * min(len(one) for one in middle):
            gone = [("".join(old[a:b]), tag != "equal") for tag, a, b, _, _ in codes]
            came = [("".join(new[c:d]), tag != "equal") for tag, _, _, c, d in codes]
    head, tail = (before[:start], False), (before[len(before) - end :], False)
    return _tidy([head, *gone, tail]), _tidy([head, *came, tail])


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Common ends without the part of a word with which they begin or end."""
    while start and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    while end and (text[len(text) - end].isalnum() or text[len(text) - end] == "_"):
        end -= 1
    return start, end


def _tidy(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Without empty pieces, and what differs in one piece where only a blank lies between."""
    found: list[Piece] = []
    for text, differs in pieces:
        if not text:
            continue
        if differs and len(found) > 1 and found[-2][1] and not found[-1][1] and not found[-1][0].strip():
            blank, _ = found.pop()
            found[-1] = (f"{found[-1][0]}{blank}{text}", True)
        elif found and found[-1][1] == differs:
            found[-1] = (found[-1][0] + text, differs)
        else:
            found.append((text, differs))
    return tuple(found)
