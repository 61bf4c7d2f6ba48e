"""Bearer tokens: who may reach an engine over TCP. Only their hashes are stored, in `api/tokens.json` (0600).

A token is `mck_ID_SECRET`; the secret has 256 bits, so that its plain SHA-256 tells nothing about it.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from maos_ckpt.api.places import DIRECTORY
from maos_ckpt.errors import ConflictError, IntegrityError, NotFoundError, UsageError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.model.access import Scope, granted
from maos_ckpt.safe_text import safe_text
from maos_ckpt.seams import Seams

FILE_NAME = "tokens.json"
TOKENS_MAX = 1000
NAME_CHARACTERS_MAX = 100
EXPIRES_DAYS_MAX = 3650
_DAY_MS = 86_400_000
SECRET_BYTES = 32
_ID_BYTES = 4
#: Longer than any token: more is not even hashed.
TOKEN_CHARACTERS_MAX = 200
_FILE_BYTES_MAX = 1 << 20
_FORM = re.compile(r"mck_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Token(msgspec.Struct, frozen=True):
    """What is stored of a token. `sha256` (hex) is of the whole token."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: _Hash
    created_at_ms: int
    #: From then on it is refused; None: never.
    expires_at_ms: int | None = None

    @property
    def granted(self) -> frozenset[Scope]:
        """Everything that it allows."""
        return granted(self.scopes)

    def expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return self.expires_at_ms is not None and now_ms >= self.expires_at_ms


class _File(msgspec.Struct, frozen=True):
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made; `text` is not kept anywhere."""

    token: Token
    text: str


class Tokens:
    """The tokens of one repository. `find` may be called from any thread."""

    def __init__(self, repository: Path, seams: Seams) -> None:
        self._directory = repository / DIRECTORY
        self._path = self._directory / FILE_NAME
        self._seams = seams
        self._seen: tuple[tuple[int, int, int] | None, dict[str, Token]] = (None, {})

    def all(self) -> list[Token]:
        """Every token, oldest first.

        Raises:
            IntegrityError: the file is not what this program wrote.
            StorageError, PermissionRefusedError: it cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                data = file.read(_FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise_storage_error(error, self._path)
        try:
            return list(msgspec.json.decode(data, type=_File).tokens)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise IntegrityError(
                f"{self._path} is damaged, so no token is accepted.",
                kept="Checkpoints have nothing to do with it.",
                hint="Remove that file, and make new tokens with `maos-ckpt token create`.",
                path=str(self._path),
            ) from error

    def find(self, text: str) -> Token | None:
        """The token that somebody showed, which may have expired; None where it is none, or no longer one. Raises as
        `all`."""
        found = _FORM.fullmatch(text) if len(text) <= TOKEN_CHARACTERS_MAX else None
        known = self._current().get(found[1]) if found else None
        digest = hashlib.sha256(text[:TOKEN_CHARACTERS_MAX].encode("utf-8", "replace")).hexdigest()
        # Also without such an id the comparison is made, so that time does not tell which ids there are.
        matches = hmac.compare_digest(digest, known.sha256 if known else "0" * len(digest))
        return known if matches else None

    def _current(self) -> dict[str, Token]:
        """All tokens by id; the file is read again only where it was replaced, so a revoked one ends at once."""
        try:
            status = os.stat(self._path)
        except OSError:
            return {}
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._seen[0] != stamp:
            self._seen = (stamp, {one.id: one for one in self.all()})
        return self._seen[1]

    def create(self, name: str, scopes: tuple[Scope, ...], expires_days: int = 0) -> NewToken:
        """Make a token, good for so many days; 0: until it is revoked.

        Raises:
            UsageError: the name is too long, or the time.
            ConflictError: there are as many as there may be.
            StorageError, PermissionRefusedError: the repository refuses.
        """
        if len(name) > NAME_CHARACTERS_MAX:
            raise UsageError(
                f"The name of a token may have {NAME_CHARACTERS_MAX} characters.", kept="Nothing was changed."
            )
        if not 0 <= expires_days <= EXPIRES_DAYS_MAX:
            raise UsageError(
                f"A token is good for 1 to {EXPIRES_DAYS_MAX} days, or, with 0, until it is revoked.",
                kept="Nothing was changed.",
            )
        with self._locked():
            there = self.all()
            if len(there) >= TOKENS_MAX:
                raise ConflictError(
                    f"There are {TOKENS_MAX} tokens, and no more are made.",
                    kept="Nothing was changed.",
                    hint="Revoke some that are no longer used.",
                )
            ids = {one.id for one in there}
            token_id = self._seams.random.token(_ID_BYTES).hex()
            while token_id in ids:
                token_id = self._seams.random.token(_ID_BYTES).hex()
            secret = base64.urlsafe_b64encode(self._seams.random.token(SECRET_BYTES)).rstrip(b"=").decode()
            text = f"mck_{token_id}_{secret}"
            ordered = tuple(one for one in Scope if one in scopes) or (Scope.READ,)
            digest = hashlib.sha256(text.encode()).hexdigest()
            now_ms = self._seams.clock.now_ms()
            expires_ms = now_ms + expires_days * _DAY_MS if expires_days else None
            token = Token(token_id, safe_text(name), ordered, digest, now_ms, expires_ms)
            self._write([*there, token])
        return NewToken(token, text)

    def revoke(self, wanted: str) -> Token:
        """Take a token away, by its id or a unique beginning of it.

        Raises:
            NotFoundError, UsageError: there is none, or there are several.
            StorageError, PermissionRefusedError: the repository refuses.
        """
        with self._locked():
            there = self.all()
            found = [one for one in there if wanted and one.id.startswith(wanted)]
            if len(found) > 1:
                raise UsageError(f"{len(found)} tokens begin with {wanted!r}.", kept="Nothing was changed.")
            if not found:
                raise NotFoundError(
                    f"There is no token {wanted[:40]!r}.",
                    kept="Nothing was changed.",
                    hint="`maos-ckpt token list` shows the tokens.",
                )
            self._write([one for one in there if one.id != found[0].id])
        return found[0]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            fd = os.open(self._directory / "tokens.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise_storage_error(error, self._directory)
        try:
            # Held for milliseconds by another `token` command, never by the engine.
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _write(self, tokens: list[Token]) -> None:
        fs, temporary = self._seams.fs, self._path.with_suffix(".new")
        try:
            fs.unlink(temporary)
            fd = fs.create(temporary)
            try:
                fs.write(fd, msgspec.json.format(msgspec.json.encode(_File(tuple(tokens))), indent=1) + b"\n")
                fs.sync(fd)
            finally:
                fs.close(fd)
            fs.publish(temporary, self._path, replace=True)
        except OSError as error:
            raise_storage_error(error, self._path)
