"""Keeps the remote copy up, in a thread of the engine: after every commit, and again as long as something waits.

A save never waits for it. What waits is what the home has and the copy has not, so nothing but the home itself has to
survive a crash. How it goes is remembered beside what is known of the copy, where every process can read it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from maos_ckpt.errors import CkptError, LeaseHeldError
from maos_ckpt.events import CheckpointsReplicated, Event, ReplicationStalled
from maos_ckpt.operations.outcome import note_failure, note_released
from maos_ckpt.operations.remotes import look_for_news
from maos_ckpt.operations.tiers import replicate
from maos_ckpt.replication.home import bring_home
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
#: First pause after a failure; each further one doubles it, up to the longest. Up to half of it is left out at random.
PAUSE_S = 2.0
PAUSE_S_MAX = 120.0
_DOUBLINGS_MAX = 16


class Replicator:
    """One repository's replication.

    Args:
        repository: opened for this alone, with its remote copy; closed at the end.
        record: told of what happened.
        whole_bytes_max: the home is to hold every pack, up to so many bytes (0: any number); None where the remote copy
            may hold some alone.
    """

    def __init__(
        self,
        repository: Repository,
        seams: Seams,
        record: Callable[[Event], None],
        whole_bytes_max: int | None = None,
    ) -> None:
        self._repository = repository
        self._whole_bytes_max = whole_bytes_max
        self._seams = seams
        self._record = record
        self._lease = RemoteLease(repository.remote_copy, str(repository.path), seams)
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._failures = 0
        self._stalled = ""
        self._thread = threading.Thread(target=self._loop, name="replicator", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Something was committed, marked or removed."""
        self._wake.set()

    def close(self, timeout_s: float) -> bool:
        """End after the object that is being sent; what waits is sent next time. False where `timeout_s` passed."""
        self._ending.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while not self._ending.is_set():
            self._wake.clear()
            wait_s = self.step()
            if self._failures:
                # New checkpoints must not make tries at a storage that is down more frequent.
                self._ending.wait(wait_s)
            else:
                self._wake.wait(wait_s)
        try:
            if self._lease.number:
                self._lease.release()
                note_released(self._repository)
        except CkptError as error:
            _LOG.info("the lease on the remote copy was not given back: %s", error)
        self._repository.close()

    def step(self) -> float:
        """Replicate once; how long to wait for the next time in seconds, unless something happens."""
        try:
            self._replicate()
        except CkptError as error:
            return self._failed(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, replication must not end in silence
            _LOG.exception("replication failed")
            return self._failed(CkptError(f"Replication failed inside this program: {type(error).__name__}."))
        return self._repository.remote_copy.timing.renew_s

    def _replicate(self) -> None:
        pushed = replicate(self._repository, self._lease)
        self._failures = 0
        self._stalled = ""
        if pushed.replicated:
            now_ms = self._seams.clock.now_ms()
            self._record(CheckpointsReplicated(now_ms, tuple(pushed.replicated), pushed.bytes))
        for checkpoint, why in pushed.stuck.items():
            _LOG.warning("%s cannot be replicated: %s", checkpoint, why)
        self._make_whole()

    def _make_whole(self) -> None:
        """Bring some of the packs home that only the remote copy holds; that it fails is no failed replication."""
        bytes_max = self._whole_bytes_max
        if bytes_max is None:
            return
        room_bytes = max(bytes_max - self._repository.stored_bytes(), 0) if bytes_max else None
        try:
            while bring_home(self._repository, room_bytes, self._is_wanted):
                if self._is_wanted() or room_bytes is not None:
                    break
        except CkptError as error:
            _LOG.warning("packs that only the remote copy holds were not brought home: %s", error)

    def _is_wanted(self) -> bool:
        return self._ending.is_set() or self._wake.is_set()

    def _failed(self, error: CkptError) -> float:
        pause_s = min(PAUSE_S * 2.0**self._failures, PAUSE_S_MAX)
        self._failures = min(self._failures + 1, _DOUBLINGS_MAX)
        # Machines that failed together do not come back together.
        share = int.from_bytes(self._seams.random.token(2)) / 65_536
        pause_s *= 0.5 + share / 2
        note_failure(self._repository, error, pause_s)
        if isinstance(error, LeaseHeldError):
            look_for_news(self._repository)
        if error.kind != self._stalled:
            # Once for each kind of failure, not at every try.
            self._stalled = error.kind
            self._record(ReplicationStalled(self._seams.clock.now_ms(), error.kind, error.message))
        return pause_s
