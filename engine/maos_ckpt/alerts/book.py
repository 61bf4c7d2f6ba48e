"""The alerts that stand, in `journal/alerts.json`: they survive a restart, and a command line may change them beside a
running engine.

What is told of an alert is told at least once: one that was raised counts as told only after its event was written, and
one that cleared is removed only then. Each incident has a key, by which whoever is told twice knows.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from maos_ckpt.errors import NotFoundError, StorageError
from maos_ckpt.events import AlertCleared, AlertRaised, Event
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.model.alerts import RUNBOOKS, SEVERITIES, Alert, AlertName, AlertState
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
NAME = "alerts.json"
_LOCK = "alerts.lock"
_BYTES_MAX = 1 << 20
_MESSAGE_CHARACTERS_MAX = 1000
#: An alert clears when its condition has not held for so long.
CLEAR_S = 60.0
#: How long an alert may be snoozed.
SNOOZE_S_MAX = 30 * 86_400.0
_LOCK_TRIES = 200
_LOCK_PAUSE_S = 0.01


class Standing(msgspec.Struct):
    """One alert that stands. `told_ms`: when its event was last written, 0 where that is still to be done."""

    name: AlertName
    since_ms: int
    message: str
    told_ms: int = 0
    by: str = ""
    acknowledged: bool = False
    snoozed_until_ms: int = 0

    @property
    def key(self) -> str:
        """Names this incident."""
        return f"{self.name}-{self.since_ms}"

    def state(self, now_ms: int) -> AlertState:
        """How it stands."""
        if self.acknowledged:
            return AlertState.ACKNOWLEDGED
        return AlertState.SNOOZED if now_ms < self.snoozed_until_ms else AlertState.FIRING

    def alert(self, now_ms: int) -> Alert:
        """As others see it."""
        state, severity = self.state(now_ms), SEVERITIES[self.name]
        until_ms = self.snoozed_until_ms if state is AlertState.SNOOZED else None
        by = "" if state is AlertState.FIRING else self.by
        runbook = RUNBOOKS[self.name]
        return Alert(self.name.value, severity, state, self.message, self.since_ms, self.key, runbook, by, until_ms)


class AlertBook:
    """The alerts of one repository. Thread-safe, and safe beside other processes."""

    def __init__(self, journal: Path, seams: Seams) -> None:
        """`journal` is the journal's directory."""
        self._directory = journal
        self._path = journal / NAME
        self._seams = seams
        #: When each condition last held, as far as this process has seen.
        self._held_s: dict[AlertName, float] = {}

    def alerts(self) -> tuple[Alert, ...]:
        """Those that stand, the worst first and of these the oldest."""
        now_ms = self._seams.clock.now_ms()
        found = [one.alert(now_ms) for one in self._load()]
        return tuple(sorted(found, key=lambda one: (one.state != AlertState.FIRING, one.severity, one.since_ms)))

    def update(self, holding: Mapping[AlertName, str], repeat_s: float) -> list[Event]:
        """Take in which conditions hold now, each with its message; returns what is to be told, oldest first.

        Args:
            repeat_s: an alert that still fires is told again after so long; 0: never.

        Raises:
            StorageError, PermissionRefusedError: the book cannot be written; nothing is to be told.
        """
        now_ms, now_s = self._seams.clock.now_ms(), self._seams.clock.monotonic_s()
        with self._changing() as standing:
            for name, message in holding.items():
                self._held_s[name] = now_s
                message = message[:_MESSAGE_CHARACTERS_MAX]
                if name in standing:
                    standing[name].message = message
                else:
                    standing[name] = Standing(name, now_ms, message)
            told: list[Event] = []
            for name, one in standing.items():
                if now_s - self._held_s.setdefault(name, now_s) >= CLEAR_S:
                    told.append(AlertCleared(now_ms, one.name.value, one.key, (now_ms - one.since_ms) / 1000))
                elif not one.told_ms or _is_due_again(one, now_ms, repeat_s):
                    severity, runbook = SEVERITIES[name], RUNBOOKS[name]
                    repeated = bool(one.told_ms)
                    told.append(AlertRaised(now_ms, name.value, severity, one.message, one.key, runbook, repeated))
            return told

    def told(self, events: Iterable[Event]) -> None:
        """These have been written to the journal; raises as `update`."""
        with self._changing() as standing:
            for event in events:
                if isinstance(event, AlertRaised | AlertCleared):
                    name = AlertName(event.alert)
                    one = standing.get(name)
                    if one is None or one.key != event.key:
                        continue
                    if isinstance(event, AlertCleared):
                        del standing[name]
                        self._held_s.pop(name, None)
                    else:
                        one.told_ms = event.at_ms

    def acknowledge(self, name: str, by: str, snooze_s: float = 0.0) -> Alert:
        """Somebody has seen it: nothing more is sent until it clears, or with `snooze_s` for so long.

        Raises:
            NotFoundError: no such alert stands.
            StorageError, PermissionRefusedError: the book cannot be written.
        """
        now_ms = self._seams.clock.now_ms()
        with self._changing() as standing:
            one = next((one for one in standing.values() if name in (one.name.value, one.key)), None)
            if one is None:
                names = ", ".join(standing) or "none"
                raise NotFoundError(
                    f"There is no alert {name[:100]!r} now.",
                    kept="Nothing was changed.",
                    hint=f"Alerts that stand: {names}.",
                    alerts=list(standing),
                )
            one.by = by
            one.acknowledged = not snooze_s
            one.snoozed_until_ms = now_ms + round(min(snooze_s, SNOOZE_S_MAX) * 1000) if snooze_s else 0
            return one.alert(now_ms)

    def _load(self) -> list[Standing]:
        try:
            return msgspec.json.decode(self._read(), type=list[Standing])
        except (OSError, msgspec.DecodeError, RecursionError) as error:
            _LOG.warning("the alerts cannot be read, and are raised anew: %s", error)
            return []

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                return file.read(_BYTES_MAX)
        except FileNotFoundError:
            return b"[]"

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[AlertName, Standing]]:
        """The alerts by name; what the block makes of them is kept."""
        try:
            with self._locked():
                standing = {one.name: one for one in self._load()}
                yield standing
                data = msgspec.json.encode(list(standing.values()))
                if data != self._read():
                    self._store(data)
        except OSError as error:
            raise_storage_error(error, self._path)

    def _store(self, data: bytes) -> None:
        fs, temporary = self._seams.fs, self._directory / f".{NAME}.new"
        fs.unlink(temporary)
        fd = fs.create(temporary)
        try:
            fs.write(fd, data)
            fs.sync(fd)
        finally:
            fs.close(fd)
        fs.publish(temporary, self._path, replace=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(_LOCK_TRIES):
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self._seams.clock.sleep(_LOCK_PAUSE_S)
            else:
                raise StorageError("The alerts are held by another process.", kept="Nothing was changed.")
            yield
        finally:
            os.close(fd)


def _is_due_again(one: Standing, now_ms: int, repeat_s: float) -> bool:
    if one.state(now_ms) is not AlertState.FIRING:
        return False
    # The end of a snooze is told at once.
    snoozed_since = one.told_ms < one.snoozed_until_ms
    return snoozed_since or (repeat_s > 0 and now_ms - one.told_ms >= repeat_s * 1000)
