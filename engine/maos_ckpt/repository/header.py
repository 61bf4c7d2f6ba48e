"""The repository's header: what it is, which version wrote it, whose state it holds (FORMAT.md, "Header")."""

from __future__ import annotations

import re

import msgspec

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import FormatError, IntegrityError, NotFoundError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.repository.checked_json import decode_checked, states_checksum, with_checksum
from maos_ckpt.seams import Seams

NAME = "maos-ckpt.json"
VERSION = 1
#: Features that change how a repository must be read; an unknown one is refused.
FEATURES = frozenset({"encryption"})
BYTES_MAX = 64 << 10
#: Folders of a repository in which nothing lies before its header does.
_EMPTY_AT_FIRST = {"packs", "manifests", "marks", "journal", "recovery"}
_ID = re.compile(r"[0-9a-f]{32}")


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """`id` is 32 hex digits, unique per repository; `source` the canonical spec of the first source saved into it."""

    format: int
    id: str
    created_at_ms: int
    source: str
    features: list[str] = []


def new_header(source: str, seams: Seams, features: list[str]) -> Header:
    """A header with a fresh id, not written yet."""
    return Header(VERSION, seams.random.token(16).hex(), seams.clock.now_ms(), source, features)


def create_header(backend: LocalBackend, header: Header) -> bool:
    """Write the header of a new repository; False where somebody else just wrote one."""
    data = with_checksum(msgspec.json.format(msgspec.json.encode(header), indent=2))
    return backend.create(NAME, data)


def read_header(backend: LocalBackend) -> Header:
    """The header, its version checked before anything else is looked at.

    Raises:
        NotFoundError: there is no repository here.
        FormatError: a newer version, or a feature this program does not know.
        IntegrityError: the header is damaged.
    """
    data = backend.read_header(NAME, BYTES_MAX)
    if data is None and len(backend.missing(["packs", "manifests"])) < 2 and not is_unfinished(backend):
        raise IntegrityError(
            f"The repository at {backend.root} is half deleted; gone: {NAME}.",
            kept="What is left was not touched.",
            hint=f"`maos-ckpt verify --repair` takes it from the remote copy; without one restore {NAME} from a copy.",
            missing=[NAME],
        )
    if data is None:
        raise NotFoundError(
            f"There is no repository at {backend.root}.",
            hint="Run `maos-ckpt save` to make one, or name another with --repo.",
            repository=str(backend.root),
        )
    return decode_header(data, str(backend.root))


def is_unfinished(backend: LocalBackend) -> bool:
    """Whether a folder without a header is what a crash left of the making of a repository: nothing but its empty
    folders, and at most a key slot, with which nothing was ever sealed."""
    try:
        names = {one.name for one in backend.root.iterdir()}
        full = [one for one in names & _EMPTY_AT_FIRST if any((backend.root / one).iterdir())]
    except OSError as error:
        raise_storage_error(error, backend.root)
    return "packs" in names and names <= _EMPTY_AT_FIRST | {"keys", "cache", "tmp"} and not full


def decode_header(data: bytes, location: str) -> Header:
    """The header of the repository at `location`; raises as `read_header` does."""
    try:
        version = msgspec.json.decode(data, type=dict[str, object]).get("format")
    except UNDECODABLE:
        version = None
    # A wrong checksum says that it is the number which is damaged, and not that a newer program wrote it.
    if isinstance(version, int) and version != VERSION and states_checksum(data) is not False:
        raise FormatError(
            f"The repository at {location} has format version {version}; this program reads version {VERSION}.",
            kept="Nothing was changed.",
            hint="Use the version of maos-ckpt that wrote it, or name another repository with --repo.",
            version=version,
        )
    try:
        header = decode_checked(data, NAME, Header)
    except IntegrityError as error:
        raise IntegrityError(
            f"The header of the repository at {location} is damaged.",
            kept="The packs and manifests beside it were not touched.",
            hint=f"`maos-ckpt verify --repair` takes it from the remote copy; without one restore {NAME} from a copy.",
        ) from error
    unknown = sorted(set(header.features) - FEATURES)
    if unknown:
        raise FormatError(
            f"The repository at {location} needs features that this version does not have: {', '.join(unknown)}.",
            kept="Nothing was changed.",
            hint="Use a newer version of maos-ckpt.",
        )
    if not _ID.fullmatch(header.id):
        raise IntegrityError(f"The header of the repository at {location} names no repository.")
    return header
