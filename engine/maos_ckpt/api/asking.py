"""Makes calls of a remote engine, each of which is carried out once, over any number of broken connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from maos_ckpt.api.connection import Answer, BrokenError, Connection
from maos_ckpt.api.methods import Method
from maos_ckpt.api.names import ENGINE, KEY, MEDIA_TYPE
from maos_ckpt.errors import EngineRestartedError, EngineUnreachableError
from maos_ckpt.seams import Seams

#: How long a call that may have reached the engine is asked for again, when the engine cannot be reached.
HEAL_S = 120.0
_RETRY_S_MIN = 0.1
_RETRY_S_MAX = 2.0
_KEY_BYTES = 16


class Asking:
    """One client's calls; everything here runs in that client's event loop. `reached` is called at every answer."""

    def __init__(self, connection: Connection, reached: Callable[[], None], seams: Seams) -> None:
        self._connection = connection
        self._reached = reached
        self._clock = seams.clock
        self._random = seams.random
        self._engine = ""

    async def ask(self, method: Method, body: bytes) -> bytes:
        """Make a call; returns the encoded result.

        Raises:
            CkptError: the call's own.
            EngineUnreachableError: no answer came; `kept` says whether the engine may have begun.
            EngineRestartedError: the engine was started anew in between, and does not know what came of it.
        """
        return await (self._once(method, body) if method.once else self._repeatable(method, body))

    async def _repeatable(self, method: Method, body: bytes) -> bytes:
        try:
            return (await self._post(method, body, {})).body
        except BrokenError as broken:
            if not broken.sent:
                raise broken.error from broken
        # A connection that had been kept open may have been closed just then: a new one tells.
        try:
            return (await self._post(method, body, {})).body
        except BrokenError as broken:
            raise broken.error from broken

    async def _once(self, method: Method, body: bytes) -> bytes:
        key = self._random.token(_KEY_BYTES).hex()
        engine, sent, heal_s, delay_s = self._engine, False, 0.0, _RETRY_S_MIN
        while True:
            headers = {KEY: key} | ({ENGINE: engine} if engine else {})
            try:
                answer = await self._post(method, body, headers)
            except EngineRestartedError as error:
                # What never reached the engine before it was started anew may be asked of the new one.
                if sent or engine == self._engine_of(error):
                    raise
                engine = self._engine_of(error)
                continue
            except BrokenError as broken:
                now_s = self._clock.monotonic_s()
                if not sent and not broken.sent:
                    raise broken.error from broken
                heal_s = heal_s or now_s + HEAL_S
                sent = True
                if now_s >= heal_s:
                    raise _not_answered(method, broken) from broken
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, _RETRY_S_MAX)
                continue
            if answer.status != HTTPStatus.ACCEPTED:
                return answer.body
            # It goes on there. From here on only the engine that has begun it will do.
            engine, sent, heal_s, delay_s = self._engine, True, 0.0, _RETRY_S_MIN

    @staticmethod
    def _engine_of(error: EngineRestartedError) -> str:
        return str(error.data.get("engine", ""))

    async def _post(self, method: Method, body: bytes, headers: dict[str, str]) -> Answer:
        path = f"/calls/{method.name}"
        answer = await self._connection.post(path, body, {"content-type": MEDIA_TYPE, **headers})
        self._engine = answer.headers.get(ENGINE, self._engine)
        self._reached()
        return answer


def _not_answered(method: Method, broken: BrokenError) -> EngineUnreachableError:
    return EngineUnreachableError(
        f"The engine could not be reached any more while it worked on this ({method.name.replace('_', ' ')}).",
        kept="What it has begun it finishes, or takes back; every checkpoint is untouched.",
        hint="When it answers again, `maos-ckpt events` tells what came of it.",
        **broken.error.data,
    )
