"""A new repository's first objects: its directories, its header, and the key slot where it is encrypted."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.backends.local_directory import TEMPORARY
from maos_ckpt.codec.secret import Secret
from maos_ckpt.codec.slots import check_new, new_master, slot_name
from maos_ckpt.errors import UsageError
from maos_ckpt.repository import header as headers
from maos_ckpt.repository.cache_place import make_cache
from maos_ckpt.repository.keyring import DIRECTORY as KEYS
from maos_ckpt.repository.keyring import ENCRYPTION, add_slot
from maos_ckpt.repository.marks import DIRECTORY as MARKS
from maos_ckpt.seams import Seams

#: What a repository is nothing without, …
VITAL = ["packs", "manifests"]
#: … and what it can do without. A lost `marks` is made anew by `Repository`, not here: empty, it would unpin all.
DIRECTORIES = ["journal", "recovery", TEMPORARY]


def _empty(path: Path, seams: Seams, message: str, hint: str) -> LocalBackend:
    """The folder, if nothing lies in it, or only what is left of a creation that was cut off."""
    backend = LocalBackend(path, seams)
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not headers.is_unfinished(backend))):
        raise UsageError(message, kept="Nothing was changed.", hint=hint)
    return backend


def _drop_slots(backend: LocalBackend, kept: Collection[str]) -> None:
    """Remove key slots of a creation that was cut off. Only now: before there was a header they might have been those
    of somebody who makes the repository at the same moment."""
    if backend.missing([KEYS]):
        return
    left = backend.list(KEYS).keys() - set(kept)
    if left:
        backend.delete(*left)
    if not kept:
        with contextlib.suppress(OSError):
            (backend.root / KEYS).rmdir()


def create(path: Path, source: str, seams: Seams, key: Secret | None) -> None:
    """Make the repository of `source`; where there is a key, an encrypted one that it opens.

    Raises:
        UsageError: the path is in use, or the passphrase too short; nothing was made.
    """
    message = f"{path} is neither a repository nor an empty folder."
    backend = _empty(path, seams, message, "Name another place with --repo.")
    if key is not None:
        check_new(key)
    backend.make_directories([*VITAL, MARKS, *DIRECTORIES, *([] if key is None else [KEYS])])
    make_cache(path)
    header = headers.new_header(source, seams, [] if key is None else [ENCRYPTION])
    # The slot goes first: a header without it would be a repository that nobody can open.
    slot = None if key is None else add_slot(backend, new_master(seams), key, header.id, seams)
    mine = [] if slot is None else [slot_name(slot.id)]
    if headers.create_header(backend, header):
        _drop_slots(backend, mine)
    else:
        # Somebody else made the repository at the same moment; this slot is of none.
        backend.delete(*mine)


def create_home(path: Path, header: bytes, keys: dict[str, bytes], seams: Seams) -> None:
    """Make an empty home for a repository that exists elsewhere, with its header and key slots.

    Raises:
        UsageError: the path is in use.
    """
    backend = _empty(path, seams, f"{path} is not empty.", "Name another with --home.")
    backend.make_directories([*VITAL, MARKS, *DIRECTORIES, *([KEYS] if keys else [])])
    make_cache(path)
    for name, data in keys.items():
        backend.create(name, data)
    backend.create(headers.NAME, header)
    _drop_slots(backend, keys)
