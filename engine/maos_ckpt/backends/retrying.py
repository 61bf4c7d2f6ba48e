"""Repeats calls that failed in passing: exponential backoff with full jitter, inside a budget of time.

Repeating is safe for every call of `Backend`, also where the first one was carried out and only its answer was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from maos_ckpt.backends.base import Backend
from maos_ckpt.backends.breaker import CircuitBreaker
from maos_ckpt.backends.patience import Patience
from maos_ckpt.errors import TransientStorageError
from maos_ckpt.seams import Seams

T = TypeVar("T")

_JITTER_STEPS = 1 << 32


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how often: waits are random between 0 and `wait_s` · 2^n, at most `wait_s_max`.

    No attempt begins later than `budget_s` after the first began; one under way is not cut short.
    """

    attempts_max: int = 8
    budget_s: float = 30.0
    wait_s: float = 0.25
    wait_s_max: float = 8.0


DEFAULT_POLICY = RetryPolicy()


def retry(call: Callable[[], T], policy: RetryPolicy, seams: Seams) -> T:
    """The result of `call`, repeated after `TransientStorageError` as the policy says; then that error."""
    deadline_s = seams.clock.monotonic_s() + policy.budget_s
    attempt = 1
    while True:
        try:
            return call()
        except TransientStorageError:
            wait_s = _wait_s(attempt, policy, seams)
            if attempt >= policy.attempts_max or seams.clock.monotonic_s() + wait_s > deadline_s:
                raise
        seams.clock.sleep(wait_s)
        attempt += 1


def _wait_s(attempt: int, policy: RetryPolicy, seams: Seams) -> float:
    """Full jitter: clients that failed together do not come back together."""
    longest_s = min(policy.wait_s_max, policy.wait_s * 2.0 ** (attempt - 1))
    return longest_s * int.from_bytes(seams.random.token(4)) / _JITTER_STEPS


class RetryingBackend:
    """A backend whose calls are repeated, each attempt through the circuit breaker. Thread-safe as the inner one.

    Besides the errors of `Backend`:
        CircuitOpenError: the breaker refuses calls at present.
    """

    def __init__(
        self,
        inner: Backend,
        seams: Seams,
        *,
        breaker: CircuitBreaker | None = None,
        policy: RetryPolicy = DEFAULT_POLICY,
        patience: Patience | None = None,
    ) -> None:
        self.inner = inner
        self.breaker = breaker or CircuitBreaker(seams)
        self._policy = policy
        self._patience = patience or Patience(seams.clock)
        self._seams = seams

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self.inner.location

    def create(self, name: str, data: bytes) -> bool:
        """See `Backend.create`."""
        return self._run(lambda: self.inner.create(name, data))

    def create_file(self, name: str, path: Path, *, sha256: str) -> bool:
        """See `Backend.create_file`."""
        return self._run(lambda: self.inner.create_file(name, path, sha256=sha256))

    def replace(self, name: str, data: bytes) -> None:
        """See `Backend.replace`."""
        self._run(lambda: self.inner.replace(name, data))

    def read(self, name: str, bytes_max: int) -> bytes:
        """See `Backend.read`."""
        return self._run(lambda: self.inner.read(name, bytes_max))

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """See `Backend.read_range`."""
        return self._run(lambda: self.inner.read_range(name, offset, length))

    def size(self, name: str) -> int | None:
        """See `Backend.size`."""
        return self._run(lambda: self.inner.size(name))

    def delete(self, *names: str) -> None:
        """See `Backend.delete`."""
        self._run(lambda: self.inner.delete(*names))

    def entries(self, directory: str, start_after: str = "") -> Iterator[tuple[str, int]]:
        """See `Backend.entries`; a listing that breaks off goes on after the last name it gave."""
        last = start_after
        # The listing under way; a failed generator is finished and would look like the end of the names.
        listing: Iterator[tuple[str, int]] | None = None

        def step() -> tuple[str, int] | None:
            nonlocal listing
            if listing is None:
                listing = self.inner.entries(directory, last)
            try:
                return next(listing, None)
            except BaseException:
                listing = None
                raise

        while (entry := self._run(step)) is not None:
            last = entry[0]
            yield entry

    def close(self) -> None:
        """See `Backend.close`."""
        self.inner.close()

    def _run(self, call: Callable[[], T]) -> T:
        def attempt() -> T:
            with self.breaker.call():
                return call()

        return self._patience.run(lambda: retry(attempt, self._policy, self._seams))
