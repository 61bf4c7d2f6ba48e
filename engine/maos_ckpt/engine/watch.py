"""Notices what happens to a repository, whoever does it: reads the journal's new lines and looks for new checkpoints.

One way in for all events: this engine's own worker, a command line beside it and another engine all write the same
journal. A checkpoint whose journal line is missing (the disk was full, say) is announced from its manifest.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from maos_ckpt.events import CheckpointCreated, Event
from maos_ckpt.journal import Journal, as_event
from maos_ckpt.model import Checkpoint
from maos_ckpt.operations.checkpoints import created
from maos_ckpt.repository.repository import Repository

_DIRECTORIES = ("manifests", "marks", "packs")


class Watch:
    """The state of one repository as last seen. Thread-safe."""

    def __init__(self, repository: Repository, journal: Journal) -> None:
        self._repository = repository
        self._journal = journal
        self._lock = threading.Lock()
        self._position = journal.end()
        self._stamp: tuple[int, ...] = ()
        self._checkpoints: list[Checkpoint] = []
        self._stored_bytes = 0
        self._damaged: tuple[str, ...] = ()
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
            self._stamp = stamp


def _stamp(repository: Path) -> tuple[int, ...]:
    """Changes whenever an entry of the watched directories does; -1 stands for one that is gone."""
    found = []
    for name in _DIRECTORIES:
        try:
            found.append(os.stat(repository / name).st_mtime_ns)
        except OSError:
            found.append(-1)
    return tuple(found)
