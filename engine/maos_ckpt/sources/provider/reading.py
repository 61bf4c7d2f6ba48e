"""One reading of one provider: its items, checked and encoded as they come, into a private file."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from maos_ckpt.codec.values import encode_key
from maos_ckpt.sources.provider.calls import Calls
from maos_ckpt.sources.provider.files import FrameWriter
from maos_ckpt.sources.provider.providers import Provider
from maos_ckpt.sources.provider.values import ValueRefusedError, encode_value

#: A provider that changes while it is read is read again, so many times in all.
TRIES_MAX: Final = 3
#: Items of one provider.
RECORDS_MAX: Final = 2_000_000
_KEY_TYPES: Final = (str, int, bytes)
_INT64: Final = range(-(1 << 63), 1 << 63)
#: How Python says that a container changed under an iteration.
_CHANGED: Final = ("changed size during iteration", "keys changed during iteration", "mutated during iteration")
_encode = msgspec.msgpack.Encoder().encode


class ReadingRefusedError(Exception):
    """This provider cannot be captured now; the text says why."""


class _MovedError(Exception):
    """It changed while it was read."""


class Reading:
    """Reads a provider into `path`; `run` is called once, in a thread. After `give_up` it stops at its next item."""

    def __init__(self, provider: Provider, path: Path, bytes_max: int, within_s: float, calls: Calls) -> None:
        self._provider = provider
        self._path = path
        self._bytes_max = bytes_max
        self._within_s = within_s
        self._calls = calls
        self._given_up = threading.Event()
        self.records = 0
        self.bytes = 0
        self.digest = b""

    def give_up(self) -> None:
        """Nobody waits for it any more."""
        self._given_up.set()

    def run(self) -> None:
        """Read everything.

        Raises:
            ReadingRefusedError: it has to be left out, for this reason; whatever else the provider raises is as good.
        """
        for _ in range(TRIES_MAX):
            with contextlib.suppress(_MovedError):
                self._once()
                return
        raise ReadingRefusedError(f"it changed while it was read, {TRIES_MAX} times in a row")

    def _once(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        provider, sink = self._provider, _Sink(self)
        before = provider.version()
        with sink.writer:
            try:
                items = provider.capture()
                if inspect.isawaitable(items) or hasattr(items, "__aiter__"):
                    self._calls.wait(_consume(items, sink), self._within_s)
                else:
                    sink.add_all(items)
            except RuntimeError as error:
                if any(words in str(error) for words in _CHANGED):
                    raise _MovedError from error
                raise
        if provider.version() != before:
            raise _MovedError
        self.records, self.bytes, self.digest = len(sink.keys), sink.writer.bytes, sink.digest.digest()

    def check(self, records: int, size: int) -> None:
        """Raise `ReadingRefusedError` where it is to end."""
        if self._given_up.is_set():
            raise ReadingRefusedError("its time was up")
        if records >= RECORDS_MAX:
            raise ReadingRefusedError(f"it has more than {RECORDS_MAX:,} items")
        if size > self._bytes_max:
            raise ReadingRefusedError(f"it holds more than {self._bytes_max:,} bytes (barrier.provider_bytes_max)")

    @property
    def provider(self) -> Provider:
        """Whom it reads."""
        return self._provider

    @property
    def path(self) -> Path:
        """Where its records are."""
        return self._path


class _Sink:
    """Takes items one by one."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._types = reading.provider.types
        self._component = reading.provider.component
        self.writer = FrameWriter(reading.path)
        self.keys: set[bytes] = set()
        self.digest = hashlib.sha256()

    def add_all(self, items: Any) -> None:
        """Items that are there."""
        if isinstance(items, Mapping):
            items = items.items()
        elif not isinstance(items, Iterable) or isinstance(items, str | bytes):
            raise ReadingRefusedError(f"capture() gave a {type(items).__qualname__}, which has no items")
        for item in items:
            self.add(item)

    def add(self, item: Any) -> None:
        """One (key, value)."""
        try:
            key, value = item
        except (TypeError, ValueError):
            raise ReadingRefusedError(f"an item is of type {type(item).__qualname__}, and no (key, value)") from None
        self._reading.check(len(self.keys), self.writer.bytes)
        try:
            if type(key) not in _KEY_TYPES or (type(key) is int and key not in _INT64):
                raise ValueRefusedError("", f"a key of type {type(key).__qualname__}, not str, int (64 bits) or bytes")
            encoded, body = self._encoded(key, value)
            if encoded in self.keys:
                raise ValueRefusedError("", "this key came twice")
        except ValueRefusedError as error:
            raise error.inside(f"{self._component}[{key!r}]") from None
        self.keys.add(encoded)
        self.digest.update(body)
        self.writer.put(body)

    def _encoded(self, key: Any, value: Any) -> tuple[bytes, bytes]:
        try:
            encoded = encode_key((key,))
        except UnicodeEncodeError:
            raise ValueRefusedError("", "a key with half a surrogate pair") from None
        return encoded, _encode((key, *encode_value(value, self._types)))


async def _consume(items: Any, sink: _Sink) -> None:
    """On the loop that the state belongs to, so that nothing else of it runs while items are encoded."""
    if inspect.isawaitable(items):
        items = await items
    if hasattr(items, "__aiter__"):
        async for item in items:
            sink.add(item)
    else:
        sink.add_all(items)
