"""Notices what happens to a repository, whoever does it: reads the journal's new lines and looks for new checkpoints.

One way in for all events: this engine's own worker, a command line beside it and another engine all write the same
journal. A checkpoint whose journal line is missing (the disk was full, say) is announced from its manifest.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from maos_ckpt.config.types import Storage
from maos_ckpt.events import CheckpointCreated, Event
from maos_ckpt.journal import Journal, as_event
from maos_ckpt.model import Checkpoint, Ratios, TierStatus
from maos_ckpt.model.metrics import Holding
from maos_ckpt.operations.checkpoints import created
from maos_ckpt.operations.metrics import holding
from maos_ckpt.operations.tiers import tiers
from maos_ckpt.ratios import ratios
from maos_ckpt.repository.repository import Repository

#: Directories whose entries, and the file whose content, tell of everything that is shown.
_WATCHED = ("manifests", "marks", "packs", "cache/remote.sqlite", "cache/scrub.json")


class Watch:
    """The state of one repository as last seen. Thread-safe."""

    def __init__(self, repository: Repository, journal: Journal, storage: Storage) -> None:
        """`storage` gives the bounds beyond which a tier is in alarm."""
        self._repository = repository
        self._storage = storage
        self._journal = journal
        self._lock = threading.Lock()
        self._position = journal.end()
        self._stamp: tuple[int, ...] = ()
        self._checkpoints: list[Checkpoint] = []
        self._stored_bytes = 0
        self._damaged: tuple[str, ...] = ()
        self._tiers: tuple[TierStatus, ...] = ()
        #: None until somebody asks.
        self._ratios: Ratios | None = None
        self._refresh()
        self._announced = {one.id for one in self._checkpoints}

    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints, newest first, looked up again where something changed."""
        with self._lock:
            self._refresh()
            return self._checkpoints

    def stored_bytes(self) -> int:
        """Bytes of packs and manifests."""
        with self._lock:
            self._refresh()
            return self._stored_bytes

    def tiers(self) -> tuple[TierStatus, ...]:
        """The places where checkpoints are kept."""
        with self._lock:
            self._refresh()
            return self._tiers

    def holding(self, now_ms: int, *, with_ratios: bool) -> Holding:
        """What the repository holds, for metrics; with its ratios it takes longer where something changed."""
        with self._lock:
            self._refresh()
            stamp, checkpoints, found = self._stamp, self._checkpoints, self._ratios
            stored_bytes, tiers_ = self._stored_bytes, self._tiers
        if found is None and with_ratios:
            # Reads the whole chunk index, for which nobody else is to wait.
            found = ratios(self._repository, checkpoints)
            with self._lock:
                if self._stamp == stamp:
                    self._ratios = found
        return holding(self._repository.path, len(checkpoints), stored_bytes, found or Ratios(), tiers_, now_ms)

    def damaged_manifests(self) -> tuple[str, ...]:
        """Names of manifests that cannot be read."""
        with self._lock:
            self._refresh()
            return self._damaged

    def poll(self) -> list[Event]:
        """What happened since the last poll, oldest first.

        Raises:
            CkptError: the repository cannot be read now.
        """
        with self._lock:
            entries, self._position = self._journal.read(self._position)
            self._refresh()
            events: list[Event] = []
            for entry in entries:
                event = as_event(entry)
                if isinstance(event, CheckpointCreated):
                    if event.checkpoint in self._announced:
                        continue
                    self._announced.add(event.checkpoint)
                if event is not None:
                    events.append(event)
            fresh = [one for one in reversed(self._checkpoints) if one.id not in self._announced]
            events += [created(one) for one in fresh]
            self._announced = {one.id for one in self._checkpoints} | {
                event.checkpoint for event in events if isinstance(event, CheckpointCreated)
            }
            return events

    def _refresh(self) -> None:
        stamp = _stamp(self._repository.path)
        if stamp != self._stamp:
            self._checkpoints = self._repository.checkpoints()
            self._damaged = tuple(self._repository.damaged_manifests())
            self._stored_bytes = self._repository.stored_bytes()
            self._tiers = tiers(self._repository, self._storage)
            self._ratios = None
            self._stamp = stamp


def _stamp(repository: Path) -> tuple[int, ...]:
    """Changes whenever something watched does; -1 stands for what is not there."""
    found = []
    for name in _WATCHED:
        try:
            found.append(os.stat(repository / name).st_mtime_ns)
        except OSError:
            found.append(-1)
    return tuple(found)
