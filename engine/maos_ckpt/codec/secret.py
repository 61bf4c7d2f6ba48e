"""Secrets that must not show: passphrases, key files and the master key, and the references that lead to them.

A configuration names where a secret is, never the secret: `env:NAME` is a variable that holds a passphrase, `file:PATH`
a key file. What stands in a wrong reference may be the passphrase itself, so no error repeats it.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path
from typing import Literal, NoReturn

from maos_ckpt.environment import expanded, secret_variable
from maos_ckpt.errors import ConfigError, KeyRefusedError

_LOG = logging.getLogger(__name__)
SecretKind = Literal["passphrase", "key_file", "master"]
MASTER_BYTES = 32
#: A key file is taken as it is, without a slow derivation, so it has to be random; any file up to this size will do.
KEY_FILE_BYTES_MIN = 32
KEY_FILE_BYTES_MAX = 64 << 10
#: 64 random hex digits have 16 different byte values; a file with fewer than this is zeros or a pattern.
_KEY_FILE_VALUES_MIN = 8
#: Rights that nobody but its owner should have on a file with a secret.
OTHERS = 0o077
_PASSPHRASE_BYTES_MAX = 4096
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")


class Secret:
    """Bytes that neither `repr`, `str`, a format, a copy nor a pickle gives away; `reveal` is the one way to them.

    Python cannot wipe memory: a secret stays in the process until its pages are used again.
    """

    __slots__ = ("_value", "kind")

    def __init__(self, kind: SecretKind, value: bytes) -> None:
        self.kind = kind
        self._value = value

    def reveal(self) -> bytes:
        """The bytes."""
        return self._value

    def __repr__(self) -> str:
        return f"<{self.kind}, not shown>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not copied or written anywhere")


def passphrase(text: str) -> Secret:
    """A passphrase as it was typed; its UTF-8 bytes count, without any normalisation.

    Raises:
        KeyRefusedError: it is empty or longer than 4,096 bytes.
    """
    value = text.encode("utf-8", "surrogateescape")
    if not 0 < len(value) <= _PASSPHRASE_BYTES_MAX:
        raise KeyRefusedError(
            f"The passphrase is {'empty' if not value else 'too long'}.", hint="Give the repository's passphrase."
        )
    return Secret("passphrase", value)


def key_file(path: Path) -> Secret:
    """The content of a key file, byte for byte.

    Raises:
        KeyRefusedError: it cannot be read, is too short or too long, or obviously not random.
    """
    hint = "Name a file of 32 to 65,536 random bytes, as `head -c 32 /dev/urandom` gives them."
    try:
        # Opened without blocking: a named pipe would otherwise hang the program.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            mode = os.fstat(fd).st_mode
            regular = stat.S_ISREG(mode)
            with open(fd, "rb", closefd=False) as file:
                value = file.read(KEY_FILE_BYTES_MAX + 1) if regular else b""
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a path"
        raise KeyRefusedError(f"The key file {path} cannot be read: {reason}.", hint=hint) from None
    if not KEY_FILE_BYTES_MIN <= len(value) <= KEY_FILE_BYTES_MAX or len(set(value)) < _KEY_FILE_VALUES_MIN:
        raise KeyRefusedError("The key file is not 32 to 65,536 random bytes.", hint=hint)
    if mode & OTHERS and regular:
        _LOG.warning("The key file %s holds a key, and others may read it: chmod 600", path)
    return Secret("key_file", value)


def exposed_key_file(reference: str) -> Path | None:
    """The key file that a reference names, if others than its owner may read it."""
    scheme, _, rest = reference.partition(":")
    if scheme != "file" or not rest:
        return None
    path = expanded(rest)
    try:
        return path if path.stat().st_mode & OTHERS else None
    except (OSError, ValueError):
        return None


def read_secret(reference: str) -> Secret:
    """The secret that `env:NAME` or `file:PATH` leads to.

    Raises:
        ConfigError: the reference has neither form.
        UsageError: the file is in the home of a user who does not exist.
        KeyRefusedError: it leads to nothing, or to nothing usable.
    """
    scheme, _, rest = reference.partition(":")
    if scheme == "file" and rest:
        return key_file(expanded(rest))
    if scheme != "env" or not _VARIABLE.fullmatch(rest):
        raise ConfigError(
            "A key reference is env:NAME, with NAME in capitals, or file:PATH.",
            hint="Put the passphrase into a variable and name that, as in env:MAOS_CKPT_PASSPHRASE.",
        )
    text = secret_variable(rest)
    if not text:
        raise KeyRefusedError(
            f"The variable {rest}, which should hold the repository's passphrase, is not set.",
            kept="Nothing was read or changed.",
            hint=f"Set {rest} in the environment of this program.",
        )
    return passphrase(text)
