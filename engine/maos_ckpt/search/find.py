"""In which checkpoints a record holds a text: since when, and until when."""

from __future__ import annotations

from dataclasses import dataclass

from maos_ckpt.client import ProgressSink
from maos_ckpt.codec.values import display_key
from maos_ckpt.diff import check_component
from maos_ckpt.errors import UNREADABLE, NotFoundError
from maos_ckpt.model import Checkpoint, Descriptor, FindResult, Match, Progress
from maos_ckpt.repository.repository import Repository
from maos_ckpt.search.pattern import Pattern, compile_text
from maos_ckpt.search.scan import CollectionScan, Hit, Pieces
from maos_ckpt.states import CollectionName, StoredState

#: Matches told where the caller names no limit, and at most.
MATCHES_LISTED = 1000
MATCHES_MAX = 100_000
_OPERATION = "find"


@dataclass(slots=True)
class _Span:
    """A record while it holds the text."""

    hit: Hit
    first: int
    last: int


@dataclass(slots=True)
class _Walk:
    """A collection's trees, each with its checkpoint's place in the row."""

    name: CollectionName
    roots: list[tuple[int, bytes | None, Descriptor]]


def find(
    repository: Repository,
    text: str,
    *,
    between: tuple[str, str] | None = None,
    component: str | None = None,
    ignore_case: bool = False,
    limit: int = MATCHES_LISTED,
    progress: ProgressSink = lambda _: None,
) -> FindResult:
    """Which records hold a text, and in which checkpoints they did.

    The text is looked for in every text and every blob, also as JSON escapes it, and in keys. Memory is bounded by
    `limit` and by what `search.scan` remembers, not by the state.

    Args:
        between: two checkpoints' names, in either order; all checkpoints where it is None.

    Raises:
        UsageError: the text is empty or too long.
        NotFoundError: there is no such checkpoint, or no such component in any.
    """
    pattern = compile_text(text, ignore_case=ignore_case)
    row = _row(repository, between)
    if component is not None and row and not any(component in one.components for one in row):
        check_component(row[-1], component)
    return _Search(repository, row, pattern, min(limit, MATCHES_MAX), progress).run(component)


def _row(repository: Repository, between: tuple[str, str] | None) -> list[Checkpoint]:
    """The checkpoints to search, oldest first."""
    row = repository.checkpoints()[::-1]
    if not row:
        raise NotFoundError("There is no checkpoint to search.", hint="`maos-ckpt save` takes one.")
    if between is None:
        return row
    low, high = sorted(repository.resolve(name).seq for name in between)
    return [one for one in row if low <= one.seq <= high]


class _Search:
    def __init__(
        self, repository: Repository, row: list[Checkpoint], pattern: Pattern, limit: int, progress: ProgressSink
    ) -> None:
        self._chunks = repository.chunks
        self._row = row
        self._states = [StoredState(repository, one) for one in row]
        self._pattern = pattern
        self._limit = limit
        self._progress = progress
        self._pieces = Pieces(self._chunks, pattern)
        self._bytes = 0
        self._truncated = False
        self._unread: set[int] = set()

    def run(self, component: str | None) -> FindResult:
        matches: list[Match] = []
        walks = [one for one in self._walks() if component in (None, one.name[0])]
        for number, walk in enumerate(walks):
            self._progress(Progress(_OPERATION, "/".join(walk.name), number, len(walks), self._bytes))
            for match in self._walk(walk):
                if len(matches) >= self._limit:
                    self._truncated = True
                    break
                matches.append(match)
        return FindResult(
            self._pattern.text,
            tuple(matches),
            self._truncated,
            len(self._row),
            self._bytes + self._pieces.bytes,
            tuple(self._row[at].id for at in sorted(self._unread)),
        )

    def _walks(self) -> list[_Walk]:
        """All collections of any checkpoint that can be read."""
        walks: dict[CollectionName, _Walk] = {}
        for at, state in enumerate(self._states):
            try:
                descriptors = state.descriptors()
            except UNREADABLE:
                self._unread.add(at)
                continue
            for name, descriptor in descriptors.items():
                walks.setdefault(name, _Walk(name, [])).roots.append((at, state.root(name), descriptor))
        return list(walks.values())

    def _walk(self, walk: _Walk) -> list[Match]:
        scan = CollectionScan(self._chunks, self._pattern, self._pieces, self._limit)
        done: list[_Span] = []
        spans: dict[bytes, _Span] = {}
        previous: tuple[bytes | None, Descriptor] | None = None
        for at, root, descriptor in walk.roots:
            if previous == (root, descriptor):
                for span in spans.values():
                    span.last = at
                continue
            previous = (root, descriptor)
            hits, whole = scan.search(root, descriptor)
            if not whole:
                self._unread.add(at)
            now: dict[bytes, _Span] = {}
            for hit in hits:
                known = spans.pop(hit.key, None)
                # A collection that some checkpoint between does not have was gone there.
                if known is not None and known.last != at - 1:
                    done.append(known)
                    known = None
                now[hit.key] = _Span(hit, at, at) if known is None else _Span(known.hit, known.first, at)
            done += spans.values()
            spans = now
            if len(done) > self._limit:
                # Records that come and go: the first times count.
                self._truncated = True
                del done[self._limit :]
        done += spans.values()
        self._bytes += scan.bytes
        self._truncated |= scan.high is not None
        found = [one for one in done if scan.high is None or one.hit.key < scan.high]
        return [self._match(walk.name, one) for one in sorted(found, key=lambda one: (one.first, one.hit.key))]

    def _match(self, name: CollectionName, span: _Span) -> Match:
        first, last = self._row[span.first], self._row[span.last]
        gone = self._row[span.last + 1] if span.last + 1 < len(self._row) else None
        return Match(
            component=name[0],
            collection=name[1],
            key=display_key(span.hit.key),
            field=span.hit.field,
            excerpt=span.hit.excerpt,
            first=first.id,
            first_at_ms=first.created_at_ms,
            last=last.id,
            last_at_ms=last.created_at_ms,
            gone=gone.id if gone else None,
            gone_at_ms=gone.created_at_ms if gone else None,
            checkpoints=span.last - span.first + 1,
            since_at_least=span.first == 0,
        )
