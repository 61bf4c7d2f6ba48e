"""The remote copy of a repository: the same objects under the same names in another place, as this home knows them.

The home (the local repository) mirrors everything of it but the payloads of packs: manifests, marks and the chunk index
are small, so that everything but reading chunks works without asking the remote side. What lies there is remembered in
an expendable file, `cache/remote.sqlite`, that `refresh` makes anew from a listing.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from maos_ckpt.backends.base import Backend
from maos_ckpt.backends.breaker import CircuitBreaker
from maos_ckpt.backends.cached import CachedBackend
from maos_ckpt.backends.patience import Patience
from maos_ckpt.codec.crypto import Sealer
from maos_ckpt.repository.remote_memory import RemoteMemory

#: Most that a save waits for the remote copy, where trees that it builds on lie only there.
SAVE_WAIT_S = 3.0
#: A fact of a home that writes to the remote copy: what is gone from there without its doing is lost, and it need not
#: look for what others did.
WRITER = "writer"
_MANIFEST = re.compile(r"manifests/[0-9]{12}")
#: What a home remembers: everything that it copies or compares.
MIRRORED = ("manifests", "marks", "packs", "keys", "bundles")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take between machines that share a remote copy; all homes of a system should have the same.

    Args:
        renew_s: a writer renews its lease when its last beat is older than this …
        time_to_live_s: … and others count it as gone when they have seen no new beat for this long.
        look_s: how often somebody who waits for an abandoned lease looks at it.
        grace_s: from the announcement that a pack goes to its deletion; longer than any save, and than a reader needs
            for what it has begun.
        audit_s: a writer compares what it remembers of the copy with a listing at least this often.
    """

    renew_s: float = 20.0
    time_to_live_s: float = 90.0
    look_s: float = 5.0
    grace_s: float = 3600.0
    audit_s: float = 86_400.0


class RemoteCopy:
    """A remote copy and what is known of it.

    Args:
        connect: gives the backend, called at the first use of the remote side and once; everything that needs only what
            is remembered works without it.
        location: where it lies, for people.
        memory: what is known of it.
        sealer: what seals the repository's objects, there as at home.
        timing: see `Timing`.
        breaker: what `connect` puts in front of the backend.
        try_out: finds out what the store does, for `make_writable`.
        patience: what `connect` lets all calls go through.
    """

    def __init__(
        self,
        connect: Callable[[], Backend],
        location: str,
        memory: RemoteMemory,
        sealer: Sealer,
        timing: Timing | None = None,
        breaker: CircuitBreaker | None = None,
        try_out: Callable[[Backend], None] = lambda _: None,
        patience: Patience | None = None,
    ) -> None:
        self.location = location
        self.sealer = sealer
        self.memory = memory
        self.timing = timing or Timing()
        self.breaker = breaker
        self._try_out = try_out
        self._patience = patience
        self._connect = connect
        self._connecting = threading.Lock()
        self._backend: Backend | None = None

    @property
    def connected(self) -> bool:
        """Whether the remote side has been used."""
        return self._backend is not None

    @property
    def backend(self) -> Backend:
        """The objects themselves."""
        with self._connecting:
            if self._backend is None:
                self._backend = self._connect()
            return self._backend

    def make_writable(self) -> None:
        """To be called before anything is created: what a store does with conditions is tried out at the first time.

        Who only reads is spared that, and needs no right to write.

        Raises:
            StorageError, ConflictError: the store cannot do what a repository needs (see `choose_create_mode`).
        """
        self._try_out(self.backend)

    def hurried(self, budget_s: float = SAVE_WAIT_S) -> contextlib.AbstractContextManager[None]:
        """For the length of the block all calls together take no longer than `budget_s`, and then fail at once.

        What is not at hand costs a save its deltas, never its checkpoint.
        """
        return contextlib.nullcontext() if self._patience is None else self._patience.limit(budget_s)

    @property
    def uncached(self) -> Backend:
        """The objects as they lie there, past every cache."""
        backend = self.backend
        return backend.inner if isinstance(backend, CachedBackend) else backend

    def cache_answers(self) -> tuple[int, int]:
        """How many reads the cache has answered here, and how many it could not."""
        if not isinstance(self._backend, CachedBackend):
            return 0, 0
        asked = self._backend.cache.statistics()
        return asked.hits, asked.misses

    def holds_range(self, name: str, offset: int, length: int) -> bool:
        """Whether the cache has a range of a pack, as far as it can be told now."""
        backend = self.backend
        return isinstance(backend, CachedBackend) and backend.known_range(name, offset, length) is not None

    def keep_range(self, name: str, offset: int, data: bytes) -> None:
        """Let the cache have a range that was read past it, as a part of a longer one."""
        backend = self.backend
        if isinstance(backend, CachedBackend):
            backend.keep_range(name, offset, data)

    def listing(self) -> list[tuple[str, int]]:
        """All objects that a home mirrors or compares, with their sizes in bytes, as they lie there now.

        Manifests are listed before packs: a manifest that is listed had all its packs there already.
        """
        entries = (entry for directory in MIRRORED for entry in self.backend.entries(directory))
        # A stray object among the manifests has no number that anything could go by.
        return [one for one in entries if not one[0].startswith("manifests/") or _MANIFEST.fullmatch(one[0])]

    def refresh(self) -> None:
        """Make what is known of the remote copy true as of now.

        Raises:
            UnavailableError, PermissionRefusedError: see `Backend`; nothing was forgotten.
        """
        self.memory.replace(self.listing())

    def learn(self) -> None:
        """As `refresh`, where it is not known what lies there: the memory is new, or was lost."""
        if not self.memory.complete:
            self.refresh()

    def remove(self, names: list[str]) -> None:
        """Delete objects; they are forgotten first, so that nothing counts on them."""
        if names:
            self.memory.remove(names)
            self.backend.delete(*names)

    def close(self) -> None:
        """Close connections and files."""
        with self._connecting:
            if self._backend is not None:
                self._backend.close()
        self.memory.close()
