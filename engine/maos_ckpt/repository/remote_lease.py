"""One writer per system, over machines: numbered lease objects in the remote copy (FORMAT.md, "Remote lease").

Whoever creates `leases/N` holds lease N, and a higher number ends all lower ones: the number is the fencing token.
Creating is create-if-absent, so of two that want a number one gets it. The holder renews by writing a new beat into its
object. Nobody's wall clock is trusted: a lease counts as abandoned when its beat has not changed for its time to live
on the *observer's* monotonic clock. What an observer has seen is remembered beside the home, so that commands that end
at once observe together.

A holder that was away for longer than it believes (stopped, or cut off) can still send requests afterwards. What it may
destroy then is bounded by how the remote copy is thinned out: it deletes only packs that it announced as doomed long
before, and a successor counts on none of these.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import CkptError, LeaseHeldError, TransientStorageError
from maos_ckpt.repository.identity import home_id
from maos_ckpt.repository.lease import Lock, owner_of, try_lock
from maos_ckpt.repository.lease_objects import Holder, lease_name, lease_names, newest
from maos_ckpt.repository.remote import RemoteCopy
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
#: Keeps processes of one home apart: whoever works on its remote copy holds this file of the home locked.
LOCK_NAME = "remote.lock"
#: So often a number may be snatched away before one is taken.
_TRIES_MAX = 20
#: The lease up to which this home knows everything that was done under leases.
_SETTLED = "lease"
_SEEN = "lease seen"


class _Seen(msgspec.Struct, frozen=True):
    """A beat, and when this home saw it first, on this machine's monotonic clock.

    That clock starts at 0 with the machine, so what it says of an observation from before a restart is too little.
    """

    home: str
    number: int
    beat: str
    at_s: float


class RemoteLease:
    """This home's hold on the remote copy. Thread-safe.

    Args:
        home: the path of the local repository that writes. A lease of the same home is its own predecessor's: the
            kernel's lock on `remote.lock` keeps two processes of one home apart.
    """

    def __init__(self, remote: RemoteCopy, home: str, seams: Seams) -> None:
        self._remote = remote
        self._path = Path(home)
        self._home = home_id(self._path, seams)
        self._seams = seams
        self._timing = remote.timing
        self._lock = threading.RLock()
        self._file: Lock | None = None
        self._number = 0
        self._holder: Holder | None = None
        self._news = False
        self._renewed_s = 0.0
        self._renewed_ms = 0

    @property
    def holder(self) -> Holder | None:
        """This home's lease, None where nothing is held."""
        return self._holder

    @property
    def number(self) -> int:
        """The fencing token, 0 where nothing is held."""
        return self._number if self._holder else 0

    def acquire(self, *, wait_s: float = 0.0) -> bool:
        """Take the lease, or make sure that it is still held.

        True: somebody else may have written since this home last knew everything (another machine held the lease, or
        this home is an older copy of itself). It stays so until `settle`.

        Args:
            wait_s: how long to watch a lease whose holder may be gone. Without it earlier calls count as well.

        Raises:
            LeaseHeldError: another home holds it, or another process of this one is at work; `data` names it.
        """
        with self._lock:
            self._lock_home()
            try:
                if not self.renew():
                    self._take(self._seams.clock.monotonic_s() + wait_s)
            except LeaseHeldError:
                # Others of this home may look for news meanwhile.
                self._unlock_home()
                raise
            return self._news

    def _take(self, deadline_s: float) -> None:
        for _ in range(_TRIES_MAX):
            if self._create(self._free_number(deadline_s) + 1):
                return
        raise TransientStorageError(f"Others take the lease on {self._remote.location} all the time.")

    def _free_number(self, deadline_s: float) -> int:
        """The number of the newest lease, once nobody holds it."""
        while True:
            number, holder = newest(self._remote)
            if holder is None or holder.released or holder.home == self._home:
                return number
            if self._silent_s(number, holder) >= self._timing.time_to_live_s:
                return number
            now_s = self._seams.clock.monotonic_s()
            if now_s >= deadline_s:
                raise self._held(number, holder)
            self._seams.clock.sleep(min(self._timing.look_s, deadline_s - now_s))

    def _silent_s(self, number: int, holder: Holder) -> float:
        """For how long this home has seen no new beat of a lease; from its first look at this one on."""
        memory, now_s = self._remote.memory, self._seams.clock.monotonic_s()
        with contextlib.suppress(*UNDECODABLE):
            seen = msgspec.json.decode(memory.fact(_SEEN) or "null", type=_Seen | None)
            same = seen is not None and (seen.home, seen.number, seen.beat) == (self._home, number, holder.beat)
            if seen is not None and same and seen.at_s <= now_s:
                return now_s - seen.at_s
        memory.set_fact(_SEEN, msgspec.json.encode(_Seen(self._home, number, holder.beat, now_s)).decode())
        return 0.0

    def _held(self, number: int, holder: Holder) -> LeaseHeldError:
        kept = "Nothing was changed. Every checkpoint is safe in the repository, and saves go on."
        if not holder.home:
            return LeaseHeldError(
                f"The lease {lease_name(number)} on {self._remote.location} cannot be read, so who writes is not "
                "known.",
                kept=kept,
                hint="There is nothing to do: a machine that is alive writes it anew, and one that has not changed for "
                f"{self._timing.time_to_live_s:g} s is taken over.",
                **msgspec.structs.asdict(holder),
            )
        held_s = max(0.0, (self._seams.clock.now_ms() - holder.since_ms) / 1000)
        silent_s = self._silent_s(number, holder)
        left_s = max(0.0, self._timing.time_to_live_s - silent_s)
        return LeaseHeldError(
            f"Another machine writes to this system: process {holder.pid} on {holder.host}, for {held_s:.0f} s; "
            f"silent for {silent_s:.0f} s as seen from here.",
            kept=kept,
            hint=f"Stop the engine there, or wait: this machine takes over when {left_s:.0f} s more go by without a "
            "sign of life.",
            **msgspec.structs.asdict(holder),
        )

    def settle(self) -> None:
        """This home knows now what others have written before."""
        with self._lock:
            if self._holder is not None:
                self._news = False
                self._remote.memory.set_fact(_SETTLED, str(self._number))

    def renew(self) -> bool:
        """Write a new beat where it is time; False where the lease is lost to another home."""
        with self._lock:
            if self._holder is None:
                return False
            # The monotonic clock stands still while a machine sleeps; the wall clock does not.
            passed_s = self._seams.clock.monotonic_s() - self._renewed_s
            passed_ms = self._seams.clock.now_ms() - self._renewed_ms
            if max(passed_s, passed_ms / 1000) < self._timing.renew_s:
                return True
            return self.check()

    def check(self) -> bool:
        """As `renew`, at once: to be called before anything is deleted."""
        with self._lock:
            if self._holder is None:
                return False
            number, _ = newest(self._remote)
            if number != self._number:
                self._holder = None
                return False
            now_s, now_ms = self._seams.clock.monotonic_s(), self._seams.clock.now_ms()
            self._holder = msgspec.structs.replace(self._holder, beat=self._beat())
            self._remote.backend.replace(lease_name(self._number), msgspec.json.encode(self._holder))
            self._renewed_s, self._renewed_ms = now_s, now_ms
            return True

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the lease beside the block, which may send one object for longer than the lease's time to live."""
        end = threading.Event()

        def renew() -> None:
            while not end.wait(self._timing.renew_s / 2):
                try:
                    self.renew()
                except CkptError as error:
                    # Whoever sends finds out by itself.
                    _LOG.info("the lease on the remote copy was not renewed: %s", error)

        thread = threading.Thread(target=renew, name="remote-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def release(self) -> None:
        """Let others take it at once."""
        with self._lock:
            try:
                if self._holder is not None and self.check():
                    released = msgspec.structs.replace(self._holder, released=True)
                    self._remote.backend.replace(lease_name(self._number), msgspec.json.encode(released))
            finally:
                self._holder = None
                self._unlock_home()

    def _unlock_home(self) -> None:
        if self._file is not None:
            self._file.release()
            self._file = None

    def _lock_home(self) -> None:
        if self._file is not None or not self._path.is_dir():
            return
        path = self._path / LOCK_NAME
        self._file = try_lock(path, "replicate", self._seams)
        if self._file is None:
            owner = owner_of(path)
            who = f"process {owner.pid} on {owner.host}" if owner else "another process"
            raise LeaseHeldError(
                f"The remote copy is being brought up to date by {who}.",
                kept="Every checkpoint is safe in the repository, and that process sends it.",
                hint="There is nothing to do.",
                home=self._home,
            )

    def _create(self, number: int) -> bool:
        now_s, now_ms = self._seams.clock.monotonic_s(), self._seams.clock.now_ms()
        holder = Holder(self._home, socket.gethostname(), os.getpid(), now_ms, self._beat())
        # The beat makes these bytes ours alone, so True means that the number is ours.
        if not self._remote.backend.create(lease_name(number), msgspec.json.encode(holder)):
            return False
        self._number, self._holder, self._renewed_s, self._renewed_ms = number, holder, now_s, now_ms
        # A predecessor that this home has not settled was somebody else's, or came after this copy of the home.
        known = self._remote.memory.fact(_SETTLED) or "0"
        self._news = str(number - 1) != known
        if not self._news:
            self.settle()
        # The predecessor itself is kept: a holder that comes back finds the higher number in any case.
        names = lease_names(self._remote)
        self._remote.backend.delete(*[name for name in names if name < lease_name(number - 1)])
        return True

    def _beat(self) -> str:
        return self._seams.random.token(8).hex()
