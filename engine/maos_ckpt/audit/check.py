"""Checking an audit log against itself, its head, and what manifests say about it."""

from __future__ import annotations

from collections.abc import Mapping

from maos_ckpt.audit import entries
from maos_ckpt.audit.entries import DIRECTORY, NEW_CHAIN, Anchor, Entry, Head, line_hash, segment_name
from maos_ckpt.audit.log import AuditLog, file_hash
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Finding, Severity

#: Findings listed.
FINDINGS_MAX = 50
#: Looks at a log that is written to at the same time.
_LOOKS = 3
_KIND = "audit"
#: Behind every chain, so that none names this break.
_NEVER = 1 << 63


def check(log: AuditLog, anchors: Mapping[str, Anchor], *, elsewhere: bool) -> list[Finding]:
    """What is wrong with an audit log: entries changed, removed, reordered, or cut off its end.

    What a later chain begins with naming as broken, and has not changed since, is a warning.

    Args:
        anchors: checkpoint → what its manifest says.
        elsewhere: the checkpoints may have been taken at another home, whose log stayed there.
    """
    found: list[Finding] = []
    for _ in range(_LOOKS):
        run = _Check(log, anchors, elsewhere=elsewhere)
        found = run.run()
        if not found or run.head == _head(log):
            break
    return found[:FINDINGS_MAX]


def _head(log: AuditLog) -> Head | None:
    try:
        return log.head()
    except IntegrityError:
        return None


class _Check:
    def __init__(self, log: AuditLog, anchors: Mapping[str, Anchor], *, elsewhere: bool) -> None:
        self._log = log
        self._anchors = anchors
        self._elsewhere = elsewhere
        self.head = _head(log)
        self._segments = log.segments()
        #: (number that it comes before, file, what): a break that no later chain names is an error.
        self._breaks: list[tuple[int, int, str]] = []
        self._chains: list[Entry] = []
        self._last_seq = 0
        #: None behind a line that cannot be read.
        self._last_hash: str | None = ""
        self._wanted = {one.seq for one in anchors.values()} | ({self.head.seq} if self.head else set())
        self._hashes: dict[int, str] = {}
        self._log_id = "" if self.head is None else self.head.log

    def run(self) -> list[Finding]:
        if not self._segments and self.head is None:
            return self._foreign_anchors()
        if self.head is None:
            self._breaks.append((_NEVER, 0, "its head is gone or damaged, so its end cannot be told"))
        else:
            self._last_seq, self._last_hash = self.head.first - 1, self.head.first_before
        for segment in self._segments:
            self._walk(segment)
        self._check_end()
        return [*self._told(), *self._foreign_anchors()]

    def _broken(self, segment: int, what: str) -> None:
        if len(self._breaks) < FINDINGS_MAX:
            self._breaks.append((self._last_seq, segment, what))

    def _walk(self, segment: int) -> None:
        for line in self._log.file_lines(segment):
            entry = entries.decode(line)
            if entry is None:
                self._unreadable(segment)
                continue
            self._log_id = self._log_id or entry.log
            begins = entry.verb == NEW_CHAIN and bool(entry.detail or entry.seq == 1)
            if entry.seq != self._last_seq + 1 and not (begins and entry.seq > self._last_seq):
                self._misplaced(segment, entry)
            elif begins:
                self._chains.append(entry)
            elif self._last_hash is not None and entry.before != self._last_hash:
                self._broken(segment, f"entry {self._last_seq} is not what was written, or {entry.seq} is not")
            self._last_seq, self._last_hash = entry.seq, line_hash(line)
            if entry.seq in self._wanted:
                self._hashes[entry.seq] = self._last_hash

    def _unreadable(self, segment: int) -> None:
        """A line that is no entry. Behind the head it is the rest of one that was never finished."""
        head = self.head
        if head is not None and segment == self._segments[-1] and self._last_seq >= head.seq:
            return
        self._broken(segment, f"what stands after entry {self._last_seq} cannot be read")
        self._last_seq, self._last_hash = self._last_seq + 1, None

    def _misplaced(self, segment: int, entry: Entry) -> None:
        if entry.seq > self._last_seq:
            self._broken(segment, f"entries {self._last_seq + 1} to {entry.seq - 1} are gone")
        else:
            self._broken(segment, f"entry {entry.seq} stands after entry {self._last_seq}")

    def _check_end(self) -> None:
        segments = self._segments
        newest = (segments or [0])[-1]
        head = self.head
        if head is not None:
            if head.seq > self._last_seq:
                self._broken(newest, f"entries {self._last_seq + 1} to {head.seq} are cut off its end")
            elif self._hashes.get(head.seq) != head.hash:
                self._broken(newest, f"entry {head.seq} is not the one that its head names")
            elif head.segment not in segments or self._log.path(head.segment).stat().st_size < head.size:
                self._broken(newest, "its head names a place that is not there")
        for name, anchor in self._anchors.items():
            if anchor.log != self._log_id or (head is not None and anchor.seq < head.first):
                continue
            if self._hashes.get(anchor.seq) != anchor.hash:
                told = "is gone" if anchor.seq not in self._hashes else "is another"
                segment = max((one for one in segments if one <= anchor.seq), default=newest)
                self._breaks.append((anchor.seq, segment, f"entry {anchor.seq}, which {name} names, {told}"))

    def _told(self) -> list[Finding]:
        found = [
            Finding(Severity.WARNING, _KIND, f"A new chain begins with entry {one.seq}: {one.detail}.", DIRECTORY)
            for one in self._chains
            if one.detail
        ]
        for seq, segment, what in self._breaks:
            if not any(self._names(chain, seq, segment) for chain in self._chains):
                found.append(Finding(Severity.ERROR, _KIND, f"The audit log was changed: {what}.", DIRECTORY))
        return found

    def _names(self, chain: Entry, seq: int, segment: int) -> bool:
        """Whether a chain began after that break, and what it found there is so still."""
        if chain.seq <= seq or not chain.detail:
            return False
        name = segment_name(segment)
        return chain.covers.get(name) == file_hash(self._log.path(segment))

    def _foreign_anchors(self) -> list[Finding]:
        """Checkpoints that name a log which is not here: that of another home, or one that was removed."""
        named = {name: one.log for name, one in self._anchors.items() if one.log != self._log_id}
        if not named:
            return []
        known = all(any(log in chain.detail for chain in self._chains) for log in named.values())
        severity = Severity.WARNING if self._elsewhere or known else Severity.ERROR
        logs = ", ".join(sorted(set(named.values()))[:3])
        message = f"The audit log {logs}, which {len(named)} checkpoints name, is not here."
        return [Finding(severity, _KIND, message, DIRECTORY, tuple(named)[:FINDINGS_MAX])]
