"""The repository's header: what it is, which version wrote it, whose state it holds (FORMAT.md, "Header")."""

from __future__ import annotations

import msgspec

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.errors import FormatError, IntegrityError, NotFoundError
from maos_ckpt.seams import Seams

NAME = "maos-ckpt.json"
VERSION = 1
#: Features that change how a repository must be read; an unknown one is refused.
FEATURES: frozenset[str] = frozenset()
_BYTES_MAX = 64 << 10


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """`id` is 32 hex digits, unique per repository; `source` the canonical spec of the first source saved into it."""

    format: int
    id: str
    created_at_ms: int
    source: str
    features: list[str] = []


def create_header(backend: LocalBackend, source: str, seams: Seams) -> Header:
    """Write the header of a new repository, or read the one that somebody else just wrote."""
    header = Header(VERSION, seams.random.token(16).hex(), seams.clock.now_ms(), source)
    data = msgspec.json.format(msgspec.json.encode(header), indent=2) + b"\n"
    if backend.create_header(NAME, data):
        return header
    return read_header(backend)


def read_header(backend: LocalBackend) -> Header:
    """The header, its version checked before anything else is looked at.

    Raises:
        NotFoundError: there is no repository here.
        FormatError: a newer version, or a feature this program does not know.
        IntegrityError: the header is damaged.
    """
    data = backend.read_header(NAME, _BYTES_MAX)
    if data is None:
        raise NotFoundError(
            f"There is no repository at {backend.root}.",
            hint="Run `maos-ckpt save` to make one, or name another with --repo.",
            repository=str(backend.root),
        )
    try:
        version = msgspec.json.decode(data, type=dict[str, object]).get("format")
    except msgspec.DecodeError:
        version = None
    if isinstance(version, int) and version != VERSION:
        raise FormatError(
            f"The repository at {backend.root} has format version {version}; this program reads version {VERSION}.",
            kept="Nothing was changed.",
            hint="Use the version of maos-ckpt that wrote it, or name another repository with --repo.",
            version=version,
        )
    try:
        header = msgspec.json.decode(data, type=Header)
    except msgspec.DecodeError as error:
        raise IntegrityError(
            f"The header of the repository at {backend.root} is damaged.",
            kept="The packs and manifests beside it were not touched.",
            hint=f"Restore {NAME} from a copy, or name another repository with --repo.",
        ) from error
    unknown = sorted(set(header.features) - FEATURES)
    if unknown:
        raise FormatError(
            f"The repository at {backend.root} needs features that this version does not have: {', '.join(unknown)}.",
            kept="Nothing was changed.",
            hint="Use a newer version of maos-ckpt.",
        )
    return header
