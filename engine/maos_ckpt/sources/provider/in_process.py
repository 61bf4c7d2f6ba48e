"""The process of the providers itself: holds still, reads them, gives back, and lets go on whatever happens."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from maos_ckpt.errors import CkptError, ConflictError, SourceError
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Pause
from maos_ckpt.sources.provider.calls import Calls, reason
from maos_ckpt.sources.provider.hooks import Hook, Hooks
from maos_ckpt.sources.provider.host import Captured, CapturedPart, Restored
from maos_ckpt.sources.provider.providers import Provider
from maos_ckpt.sources.provider.reading import Reading, ReadingRefusedError
from maos_ckpt.sources.provider.restoring import RestoreRefusedError, read_changes, restoration
from maos_ckpt.sources.provider.values import ValueRefusedError
from maos_ckpt.sources.sqlite.guardian import Guardian

_LOG = logging.getLogger(__name__)
#: How long an operation waits for another one's hold to end.
HOLD_WAIT_S: Final = 30.0
#: A resume hook that fails is run once more.
RESUME_TRIES: Final = 2
_KEPT: Final = "Every checkpoint committed before is untouched, and the system goes on."


@dataclass(frozen=True, slots=True)
class Limits:
    """What one provider may take: `provider_s_max` for a capture or restore, `provider_bytes_max` of records."""

    provider_s_max: float = 5.0
    provider_bytes_max: int = 1 << 30


@dataclass(slots=True)
class ProviderHost:
    """The providers of this process, by the name of their source, with what holds the system still. Thread-safe."""

    providers: Sequence[Provider]
    hooks: Hooks
    limits: Limits
    seams: Seams
    calls: Calls = field(default_factory=Calls)
    #: One operation holds, captures or restores at a time.
    turn: threading.Lock = field(default_factory=threading.Lock)
    #: Readings that were given up and have not ended: such a provider is not asked again meanwhile.
    hanging: dict[str, Future[Any]] = field(default_factory=dict)

    def session(self) -> InProcessSession:
        """One operation's talk with this process."""
        return InProcessSession(self)


class InProcessSession:
    """See `HostSession`."""

    def __init__(self, host: ProviderHost) -> None:
        self._host = host
        self._depth = 0
        self._hold: _Hold | None = None

    def hold(self, *, recovery: bool = False) -> None:
        """See `HostSession.hold`.

        Raises:
            ConflictError: another operation holds the system for longer than `HOLD_WAIT_S`.
        """
        if self._depth == 0:
            host = self._host
            if not host.turn.acquire(timeout=HOLD_WAIT_S):
                raise ConflictError("Another operation holds the system still.", kept=_KEPT, hint="Try again.")
            try:
                hooks = host.hooks
                self._hold = _Hold(host, hooks.recovery_s_max if recovery else hooks.hold_s_max)
                self._hold.begin()
            except BaseException:
                host.turn.release()
                raise
        self._depth += 1

    def let_go(self) -> Pause:
        """See `HostSession.let_go`."""
        assert self._hold is not None
        if self._depth > 1:
            self._depth -= 1
            return self._hold.pause()
        try:
            return self._hold.end()
        finally:
            self._depth = 0
            self._host.turn.release()

    def capture(self, directory: str) -> Captured:
        """See `HostSession.capture`."""
        host, limits, clock = self._host, self._host.limits, self._host.seams.clock
        first_s = clock.monotonic_s()
        begun = [self._begin(one, Path(directory, f"objects-{at}")) for at, one in enumerate(host.providers)]
        until_s = first_s + limits.provider_s_max
        parts = tuple(self._part(one, found, max(0.0, until_s - clock.monotonic_s())) for one, found in begun)
        return Captured(parts, first_s, clock.monotonic_s())

    def _begin(self, provider: Provider, path: Path) -> tuple[Provider, tuple[Reading, Future[Any]] | None]:
        host = self._host
        before = host.hanging.get(provider.path)
        if before is not None and not before.done():
            return provider, None
        host.hanging.pop(provider.path, None)
        limits = host.limits
        reading = Reading(provider, path, limits.provider_bytes_max, limits.provider_s_max, host.calls)
        return provider, (
            reading,
            host.calls.begin(f"capture {provider.component}", reading.run, limits.provider_s_max),
        )

    def _part(self, provider: Provider, begun: tuple[Reading, Future[Any]] | None, within_s: float) -> CapturedPart:
        missing = self._failure(provider, begun, within_s)
        if missing or begun is None:
            _LOG.warning("%s is left out: %s", provider.path, missing)
            return CapturedPart(provider.component, provider.collection, missing=missing)
        reading = begun[0]
        return CapturedPart(
            provider.component,
            provider.collection,
            str(reading.path),
            reading.records,
            reading.bytes,
            reading.digest,
        )

    def _failure(self, provider: Provider, begun: tuple[Reading, Future[Any]] | None, within_s: float) -> str:
        """Why there is nothing of a provider, or ""."""
        if begun is None:
            return "its last capture still hangs"
        reading, future = begun
        try:
            future.result(within_s)
        except TimeoutError:
            if not future.done():
                reading.give_up()
                self._host.hanging[provider.path] = future
            return f"capture() took longer than {self._host.limits.provider_s_max:g} s"
        except (ReadingRefusedError, ValueRefusedError) as error:
            return str(error)
        except CkptError as error:
            return error.message
        except Exception as error:  # noqa: BLE001 - somebody else's code; told in the checkpoint
            return f"capture() raised {reason(error)}"
        return ""

    def restore(self, path: str) -> Restored:
        """See `HostSession.restore`."""
        host, limits = self._host, self._host.limits
        known = {(one.component, one.collection): one for one in host.providers}
        done = 0
        skipped: list[str] = []
        for name, changes in read_changes(Path(path)).items():
            try:
                provider = known.get(name)
                if provider is None:
                    raise RestoreRefusedError("this process has no such provider")
                captured = self._begin(provider, Path(f"{path}-{len(skipped) + done}"))
                missing = self._failure(*captured, limits.provider_s_max)
                if missing or captured[1] is None:
                    raise RestoreRefusedError(f"it cannot be read now: {missing}")
                restoration(provider, captured[1][0].path, changes).carry_out(host.calls, limits.provider_s_max)
                done += 1
            except RestoreRefusedError as error:
                skipped.append(f"{'/'.join(name)} was left as it was: {error}.")
        return Restored(done, tuple(skipped))

    def close(self) -> None:
        """See `HostSession.close`."""
        if self._depth:
            self._depth = 1
            self.let_go()


class _Hold:
    """One pause of the system, from `begin` to `end` or until its bound has passed."""

    def __init__(self, host: ProviderHost, s_max: float) -> None:
        self._host = host
        self._hooks = host.hooks
        self._s_max = s_max
        self._clock = host.seams.clock
        self._began_s = self._ended_s = 0.0
        self._expired = False
        self._note = ""
        self._released = threading.Lock()
        self._timer: threading.Timer | None = None
        self._guardian: Guardian | None = None

    def begin(self) -> None:
        hooks = self._hooks
        if not hooks:
            return
        if hooks.resume_command:
            self._guardian = Guardian.start()
            self._guardian.run_afterwards(hooks.resume_command, hooks.directory, hooks.hook_s_max)
        self._began_s = self._clock.monotonic_s()
        self._timer = threading.Timer(self._s_max, self._expire)
        self._timer.daemon = True
        self._timer.start()
        for hook in hooks.quiesce:
            future = self._host.calls.begin("hook", hook, hooks.hook_s_max)
            failed = self._failure(future)
            if failed:
                self._release()
                # One that only took too long may still take hold, of a system that nobody would let go on then.
                future.add_done_callback(self._late)
                raise SourceError(
                    f"The system could not be held still: the quiesce hook failed ({failed}).",
                    kept=_KEPT,
                    hint="Mend the hook, or take it out: sources are captured one shortly after the other then.",
                )

    def pause(self) -> Pause:
        """How it stands now."""
        until_s = self._ended_s or self._clock.monotonic_s()
        return Pause(bool(self._hooks), until_s - self._began_s if self._hooks else 0.0, self._expired, self._note)

    def end(self) -> Pause:
        if self._hooks:
            self._release()
        return self.pause()

    def _expire(self) -> None:
        self._release(expired=True)

    def _release(self, *, expired: bool = False) -> None:
        with self._released:
            if self._ended_s:
                return
            self._expired = expired
            if expired:
                _LOG.warning("the system was held still for %g s and is let go on", self._s_max)
            failed = [one for hook in self._hooks.resume if (one := self._resume(hook))]
            self._ended_s = self._clock.monotonic_s()
            if failed:
                self._note = f"The resume hook failed ({failed[0]})."
                _LOG.error("%s", self._note)
        if self._timer is not None:
            self._timer.cancel()
        if self._guardian is not None:
            if not failed:
                with contextlib.suppress(SourceError):
                    self._guardian.ran()
            self._guardian.close()

    def _late(self, quiesced: Future[Any]) -> None:
        if quiesced.exception() is None:
            for hook in self._hooks.resume:
                self._resume(hook)

    def _resume(self, hook: Hook) -> str:
        failed = ""
        for _ in range(RESUME_TRIES):
            failed = self._failure(self._host.calls.begin("hook", hook, self._hooks.hook_s_max))
            if not failed:
                break
        return failed

    def _failure(self, begun: Future[Any]) -> str:
        """Why a hook failed, or ""."""
        within_s = self._hooks.hook_s_max
        try:
            begun.result(within_s)
        except TimeoutError:
            return f"it took longer than {within_s:g} s"
        except CkptError as error:
            return error.message
        except Exception as error:  # noqa: BLE001 - somebody else's code; told to whoever asked
            return reason(error)
        return ""
