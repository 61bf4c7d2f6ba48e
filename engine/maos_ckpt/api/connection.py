"""HTTP to one engine: requests that are bounded in time and size, and what goes wrong in words.

The only module that imports httpx2, when a remote client is made.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import msgspec

from maos_ckpt import __version__
from maos_ckpt.api.address import Address
from maos_ckpt.api.names import PREFIX
from maos_ckpt.errors import CkptError, EngineUnreachableError, PermissionRefusedError, UnavailableError
from maos_ckpt.wire import ErrorFrame, as_error

CONNECT_S = 5.0
#: Longer than an engine lets a request wait, or its stream be silent.
READ_S = 20.0
WRITE_S = 20.0
#: Calls at the same time; one more waits for its turn.
CONNECTIONS_MAX = 32
#: An idle connection is not used after this long: the engine closes it at 30 s.
KEPT_S = 20.0
#: No answer is larger; lists are bounded by the limits that a call states.
ANSWER_BYTES_MAX = 256 << 20
_PROBLEM_BYTES_MAX = 1 << 20


class BrokenError(Exception):
    """The connection broke. `sent` says that the request may have reached the engine; `error` is what to tell."""

    def __init__(self, error: CkptError, *, sent: bool) -> None:
        super().__init__(error.message)
        self.error = error
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no problem."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Problem(msgspec.Struct, frozen=True):
    """What counts of a problem document."""

    kind: str
    detail: str = ""
    kept: str = ""
    hint: str = ""
    data: dict[str, Any] = {}


class Connection:
    """A pool of connections to one engine, for use in one event loop."""

    def __init__(self, address: Address, token: str | None, headers: Mapping[str, str]) -> None:
        self.address = address
        own = {"user-agent": f"maos-ckpt/{__version__}", **headers}
        if token is not None:
            own["authorization"] = f"Bearer {token}"
        secure = address.url.startswith("https:")
        transport = httpx2.AsyncHTTPTransport(
            # Without TLS nothing is verified: an empty context spares reading the machine's certificates.
            verify=ssl.create_default_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            uds=None if address.socket is None else str(address.socket),
            limits=httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=4, keepalive_expiry=KEPT_S),
        )
        self._http = httpx2.AsyncClient(
            base_url=address.url + PREFIX,
            headers=own,
            transport=transport,
            timeout=httpx2.Timeout(READ_S, connect=CONNECT_S, write=WRITE_S, pool=None),
            # Neither a proxy nor a .netrc of the environment has a say in who gets the token.
            trust_env=False,
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Make a request and read its whole answer.

        Raises:
            BrokenError: there was none.
            CkptError: the answer is a problem.
        """
        async with self._open("POST", path, content=body, headers=headers) as response:
            answer = await _read(response, ANSWER_BYTES_MAX)
            return Answer(response.status_code, response.headers, answer)

    @contextlib.asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """An answer as it comes; raises as `post`, also while it is read."""
        async with self._open("GET", path, params=query) as response:
            yield response.aiter_raw()

    @contextlib.asynccontextmanager
    async def _open(self, method: str, path: str, **more: Any) -> AsyncIterator[httpx2.Response]:
        try:
            async with self._http.stream(method, path, **more) as response:
                if not response.is_success:
                    raise _as_error(response.status_code, await _read(response, _PROBLEM_BYTES_MAX))
                yield response
        except httpx2.TransportError as error:
            refused = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            raise BrokenError(self._words(error), sent=not refused) from error

    def _words(self, error: httpx2.TransportError) -> CkptError:
        chain: BaseException | None = error
        while chain is not None:
            if isinstance(chain, ssl.SSLCertVerificationError):
                return PermissionRefusedError(
                    f"The certificate of {self.address.text} is not to be trusted: {chain.verify_message}.",
                    kept="Nothing was sent.",
                    hint="SSL_CERT_FILE names the certificate of its issuer, if that is one of your own.",
                )
            if isinstance(chain, PermissionError):
                return PermissionRefusedError(
                    f"This user may not connect to {self.address.text}.",
                    kept="Nothing was changed.",
                    hint="The engine's own user and root may.",
                )
            chain = chain.__cause__ or chain.__context__
        return EngineUnreachableError(
            f"No engine answers at {self.address.text}.",
            kept="An engine that still runs goes on by itself.",
            hint=f"Look whether it runs and is to be reached there: {_what(error)}.",
            address=self.address.text,
        )


def _what(error: httpx2.TransportError) -> str:
    """What became of the connection."""
    if isinstance(error, httpx2.ConnectError):
        return "nothing takes the connection"
    if isinstance(error, httpx2.TimeoutException):
        return "it did not answer in time"
    if isinstance(error, httpx2.RemoteProtocolError):
        return "what answered is no engine, or wants https://"
    return "the connection broke"


async def _read(response: httpx2.Response, bytes_max: int) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > bytes_max:
            raise UnavailableError(
                "The engine's answer is too large to be taken.", kept="Nothing was lost.", hint="Ask for less at once."
            )
        parts.append(part)
    return b"".join(parts)


def _as_error(status: int, body: bytes) -> CkptError:
    try:
        found = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, RecursionError):
        return UnavailableError(
            f"What answers there is no engine (status {status}).", kept="Nothing was changed.", hint="See the address."
        )
    # No field may take the place of an error's own ones.
    data = {key: value for key, value in found.data.items() if key not in ("message", "kept", "hint", "self")}
    return as_error(ErrorFrame(found.kind, found.detail, found.kept, found.hint, data))
