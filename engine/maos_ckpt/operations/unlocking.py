"""Where the key of a repository comes from: the configuration, a person at the terminal, or the process that has it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from maos_ckpt.backends.base import Backend
from maos_ckpt.codec.secret import Secret, passphrase, read_secret
from maos_ckpt.config import Config
from maos_ckpt.errors import ConfigError
from maos_ckpt.repository.keyring import ENCRYPTION, Unlock, no_key, not_encrypted, unlock
from maos_ckpt.wire import Unlocked

#: Asks a person for a passphrase; told of what, and whether it is a new one, which is typed twice.
Ask = Callable[[str, bool], str]


@dataclass(slots=True, eq=False)
class KeyHolder:
    """Finds a repository's key when it is first needed, and keeps the master key from then on. Thread-safe.

    A passphrase takes half a second and 128 MiB to try, so it is tried once in an engine, not once in every save.

    Args:
        ask: asks the person at the terminal; None where there is nobody.
        unlocked: the master key, from a process that has it.
    """

    ask: Ask | None = None
    unlocked: Unlocked | None = None
    _new: Secret | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def unlocker(self, config: Config) -> Unlock:
        """What opens existing repositories.

        It raises `IntegrityError` where one is in the clear although encryption is switched on, and
        `PermissionRefusedError` where there is no key, or a wrong one.
        """
        return functools.partial(self._unlock, config)

    def _unlock(self, config: Config, backend: Backend, repository: str, features: Collection[str]) -> Secret | None:
        if ENCRYPTION not in features:
            if config.encryption_enabled:
                raise not_encrypted()
            return None
        with self._lock:
            # By the repository's id: a master key must never get to write into another repository.
            if self.unlocked is None or self.unlocked.repository != repository:
                what = f"The repository at {backend.location} is encrypted"
                secret = self._new or self.named(config.encryption_key, what, new=False, of=backend.location)
                master, slot = unlock(backend, repository, secret)
                self.unlocked = Unlocked(repository, master, slot.id)
            return self.unlocked.master

    def slot(self, repository: str) -> str:
        """The id of the key slot that opened a repository (by id); "" where none did."""
        unlocked = self.unlocked
        return unlocked.slot if unlocked is not None and unlocked.repository == repository else ""

    def for_new(self, config: Config) -> Secret | None:
        """The first key of a new repository; None where it is to be in the clear.

        Raises:
            ConfigError: a key is named, but encryption is not switched on.
            PermissionRefusedError: no key is named, and there is nobody to ask; or as `read_secret`.
        """
        if not config.encryption_enabled:
            if config.encryption_key:
                raise ConfigError(
                    "encryption_key is set, but encryption_enabled is not, and there is no repository yet.",
                    kept="Nothing was written in the clear.",
                    hint="Set encryption_enabled for an encrypted repository, or leave encryption_key out.",
                    key="encryption_enabled",
                )
            return None
        with self._lock:
            if self._new is None:
                self._new = self.named(config.encryption_key, "The new repository is to be encrypted", new=True)
            return self._new

    def named(self, reference: str, what: str, *, new: bool, of: str = "") -> Secret:
        """The secret that a reference names, or else that the person at the terminal types for the repository `of`."""
        if reference:
            return read_secret(reference)
        if self.ask is None:
            raise no_key(f"{what}, and no key is named.")
        return passphrase(self.ask(of, new))

    def remember(self, repository: str, master: Secret | None) -> None:
        """Keep the master key of a repository that was just made."""
        with self._lock:
            self._new = None
            self.unlocked = None if master is None else Unlocked(repository, master)
