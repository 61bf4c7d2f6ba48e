"""What all consoles of one engine have on their screens, together: the engine holds one set for all of them."""

from __future__ import annotations

import threading

from maos_ckpt.client import EngineClient
from maos_ckpt.seams import SYSTEM, Seams

#: A console that has not been heard of for as long holds nothing any more, as `EngineClient.hold` says.
HOLD_S = 15 * 60
#: Consoles whose screens are known; those heard of longest ago make room.
CONSOLES_MAX = 256


class SharedHold:
    """The sets of checkpoints on screens, by console. Thread-safe."""

    def __init__(self, client: EngineClient, seams: Seams = SYSTEM) -> None:
        self._client = client
        self._clock = seams.clock
        self._lock = threading.Lock()
        self._shown: dict[str, tuple[float, frozenset[str]]] = {}

    def hold(self, console: str, names: frozenset[str]) -> None:
        """A console shows these now, and no others."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            self._shown.pop(console, None)
            self._shown = {one: held for one, held in self._shown.items() if now_s - held[0] < HOLD_S}
            while len(self._shown) >= CONSOLES_MAX:
                del self._shown[next(iter(self._shown))]
            if names:
                self._shown[console] = now_s, names
            self._client.hold(frozenset().union(*(held for _, held in self._shown.values())))
