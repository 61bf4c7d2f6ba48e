"""What an S3 store really does: tried out with objects of its own before anything is entrusted to it.

Stores differ where it matters most. Some ignore the condition of a conditional PUT and overwrite; some check it and
write in two steps, so that several writers win at once.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

from maos_ckpt.backends.base import UnsupportedRequestError
from maos_ckpt.backends.s3 import CreateMode, S3Backend
from maos_ckpt.backends.s3_errors import ConditionError
from maos_ckpt.errors import CkptError, ConflictError, IntegrityError, StorageError
from maos_ckpt.seams import Seams

#: Writers that try to take one name at the same moment, and how many names. Of a store whose condition is not atomic
#: at least every third such race has several winners, as measured, so that all of these go by unseen once in 300.
RACE_WRITERS = 6
RACE_ROUNDS = 14
_DIRECTORY = "probe"
_BODY = bytes(range(256)) * 4


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What holds for a store.

    Args:
        read_after_write: an object that was written is read back whole, a deleted one is gone at once.
        ranges: a ranged read gives exactly that range.
        listing: a listing shows what was just written, in byte order, and goes on after a name.
        conditional_create: `If-None-Match: *` on a name that is taken is refused and changes nothing.
        atomic_create: of several writers at the same moment exactly one was let through, in all rounds.
        conditional_replace: `If-Match` lets the right ETag through and refuses a wrong one.
        clock_skew_s: this machine's clock less the store's, in seconds; None where the store does not tell.
        notes: what failed, one sentence each.
    """

    read_after_write: bool
    ranges: bool
    listing: bool
    conditional_create: bool
    atomic_create: bool
    conditional_replace: bool
    clock_skew_s: float | None
    notes: tuple[str, ...]


def probe(backend: S3Backend, seams: Seams) -> Capabilities:
    """Try the store out with objects below `probe/`, and remove them.

    Raises:
        TransientStorageError, StorageError, PermissionRefusedError: the store cannot be used at all now.
    """
    run = _Probe(backend, seams)
    try:
        return run.run()
    finally:
        backend.delete(*run.names)


def choose_create_mode(found: Capabilities, *, single_writer: bool) -> CreateMode:
    """How `create` works on a store with these capabilities.

    Args:
        single_writer: the operator states that nobody else ever writes below the prefix.

    Raises:
        StorageError: the store does not do what every repository needs.
        ConflictError: it cannot keep two writers apart, and there may be two.
    """
    needed = {"reading back": found.read_after_write, "ranged reads": found.ranges, "listing": found.listing}
    lacking = [what for what, holds in needed.items() if not holds]
    if lacking:
        raise StorageError(
            f"This store cannot hold a repository: {', '.join(lacking)} does not work.",
            kept="Nothing was stored.",
            hint="Use another store, or another endpoint of it.",
            notes=list(found.notes),
        )
    if found.conditional_create and found.atomic_create:
        return CreateMode.ATOMIC
    if found.conditional_create:
        return CreateMode.CONFIRMED
    if single_writer:
        return CreateMode.LOOK_FIRST
    raise ConflictError(
        "This store ignores conditions, so it cannot keep two writers from overwriting each other.",
        kept="Nothing was stored.",
        hint="Use a store with conditional writes, or declare in the configuration that there is a single writer.",
        notes=list(found.notes),
    )


class _Probe:
    """One run; `names` are the objects to remove afterwards."""

    def __init__(self, backend: S3Backend, seams: Seams) -> None:
        self._backend = backend
        self._seams = seams
        self._token = seams.random.token(8).hex()
        self._notes: list[str] = []
        self.names: list[str] = []

    def run(self) -> Capabilities:
        """Every check; one that the store answers wrongly is noted, one that it does not answer ends the run."""
        first = self._name()
        # Outside of the checks: where even this fails, the store or the credentials are the matter, not a capability.
        self._backend.replace(first, _BODY)
        skew_s = self._skew_s()
        conditional = self._check(
            "a name that was taken could be overwritten", lambda: self._taken_name_is_refused(first)
        )
        return Capabilities(
            read_after_write=self._check("what was written is not what is read", lambda: self._reads_back(first)),
            ranges=self._check("a ranged read gives something else", lambda: self._range_is_exact(first)),
            listing=self._check("a listing does not show what was written", self._listing_is_true),
            conditional_create=conditional,
            atomic_create=conditional
            and self._check("several writers at the same moment were told that the name is theirs", self._one_wins),
            conditional_replace=self._check("If-Match does not work", lambda: self._replaces_if_match(first)),
            clock_skew_s=skew_s,
            notes=tuple(self._notes),
        )

    def _name(self) -> str:
        self.names.append(f"{_DIRECTORY}/{self._token}_{len(self.names):04d}")
        return self.names[-1]

    def _check(self, note: str, check: Callable[[], bool]) -> bool:
        try:
            holds = check()
        except (ConflictError, IntegrityError, UnsupportedRequestError) as error:
            note, holds = f"{note} ({error.message})", False
        if not holds:
            self._notes.append(note)
        return holds

    def _put(self, name: str, data: bytes, **condition: str) -> str:
        digest = hashlib.sha256(data).hexdigest()
        attributes = self._backend.attributes(digest)
        answer = self._backend.client.call(
            "put_object", name, needs=("ETag",), Key=self._backend.key(name), Body=data, **attributes, **condition
        )
        return str(answer["ETag"])

    def _refused(self, name: str, **condition: str) -> bool:
        """Whether a write with a condition that does not hold is refused, and leaves the object alone."""
        before = self._backend.read(name, len(_BODY))
        try:
            self._put(name, b"overwritten", **condition)
        except ConditionError:
            return self._backend.read(name, len(_BODY)) == before
        return False

    def _taken_name_is_refused(self, name: str) -> bool:
        fresh = self._name()
        self._put(fresh, _BODY, IfNoneMatch="*")
        held = self._refused(fresh, IfNoneMatch="*")
        if not self._refused(name, IfNoneMatch="*"):
            self._backend.replace(name, _BODY)
            return False
        return held

    def _reads_back(self, name: str) -> bool:
        gone = self._name()
        self._backend.replace(gone, _BODY)
        self._backend.delete(gone)
        return self._backend.read(name, len(_BODY)) == _BODY and self._backend.size(gone) is None

    def _range_is_exact(self, name: str) -> bool:
        return self._backend.read_range(name, 100, 300) == _BODY[100:400]

    def _listing_is_true(self) -> bool:
        written = [self._name() for _ in range(3)]
        for name in reversed(written):
            self._backend.replace(name, _BODY)
        mine = [name for name, _ in self._backend.entries(_DIRECTORY) if name in written]
        after = [name for name, _ in self._backend.entries(_DIRECTORY, written[0]) if name in written]
        return mine == written and after == written[1:]

    def _one_wins(self) -> bool:
        return all(self._race_is_fair() for _ in range(RACE_ROUNDS))

    def _race_is_fair(self) -> bool:
        """Whether at most one of several writers was let through, and the object is that one's."""
        name = self._name()
        start = threading.Barrier(RACE_WRITERS)
        won: list[int] = []
        failed: list[CkptError] = []

        def write(writer: int) -> None:
            start.wait()
            try:
                self._put(name, b"writer %d" % writer, IfNoneMatch="*")
                won.append(writer)
            except ConditionError:
                return
            except CkptError as error:
                failed.append(error)

        threads = [threading.Thread(target=write, args=(one,), name="s3-probe") for one in range(RACE_WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        return not won or (len(won) == 1 and self._backend.read(name, len(_BODY)) == b"writer %d" % won[0])

    def _replaces_if_match(self, name: str) -> bool:
        # Some stores know the ETag with its quotes only, some only without; all that know If-Match take the latter.
        tag = self._put(name, _BODY).strip('"')
        wrong = hashlib.md5(b"another", usedforsecurity=False).hexdigest()
        if not self._refused(name, IfMatch=wrong):
            return False
        self._put(name, _BODY + b"new", IfMatch=tag)
        return True

    def _skew_s(self) -> float | None:
        told_s = self._backend.client.store_time_s
        return None if told_s is None else self._seams.clock.now_ms() / 1000 - told_s
