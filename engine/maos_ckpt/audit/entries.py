"""What the audit log holds (FORMAT.md, "Audit"): entries, its head, and the anchors in manifests."""

from __future__ import annotations

import hashlib
import struct
from typing import Annotated

import msgspec

from maos_ckpt.audit.actor import Actor
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.repository.manifests import AUDIT_BYTES

DIRECTORY = "journal/audit"
#: A longer line is no entry of ours.
LINE_BYTES_MAX = 64 << 10
TEXT_CHARACTERS_MAX = 2000
#: Checkpoints, keys or drills that one entry names at most.
ABOUT_MAX = 200
ABOUT_CHARACTERS_MAX = 100
#: The verb of the entry that begins a chain: the first one, and one after damage.
NEW_CHAIN = "new chain"
#: Outcomes.
BEGUN, DONE, PARTIAL, FAILED = "begun", "done", "partial", "failed"
#: Numbers and names as this program writes them; a file with others is not its own.
_Number = Annotated[int, msgspec.Meta(ge=0, lt=10**18)]
_LogId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_HashOrNone = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]
_ANCHOR = struct.Struct(">8sQ32s")
assert _ANCHOR.size == AUDIT_BYTES


class Entry(msgspec.Struct, frozen=True):
    """One line. `before` is the SHA-256 of the line before without its line feed, "" at the beginning of a chain.

    `covers` of such a beginning says what was there before: name of a file → SHA-256 of its bytes.
    """

    log: _LogId
    seq: _Number
    before: _HashOrNone
    at_ms: int
    verb: str
    result: str
    detail: str
    reason: str
    digest: str
    about: list[str]
    who: Actor
    covers: dict[str, str] = {}


class Head(msgspec.Struct, frozen=True):
    """Where the log ends: the newest entry's number and hash, its file and that file's size behind it; and where it
    begins: the number and `before` of the oldest entry that is kept."""

    log: _LogId
    first: _Number
    first_before: _HashOrNone
    seq: _Number
    hash: _Hash
    segment: _Number
    size: _Number


class Anchor(msgspec.Struct, frozen=True):
    """What a manifest says about the log at the time of its commit: its newest entry."""

    log: str
    seq: int
    hash: str


def encode(entry: Entry) -> bytes:
    """An entry's line without its line feed."""
    return msgspec.json.encode(entry)


def decode(line: bytes) -> Entry | None:
    """The entry in a line; None where it is none."""
    if len(line) > LINE_BYTES_MAX:
        return None
    try:
        return msgspec.json.decode(line, type=Entry)
    except UNDECODABLE:
        return None


def line_hash(line: bytes) -> str:
    """The name of a line in what follows it."""
    return hashlib.sha256(line).hexdigest()


def bounded(text: str, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    """A text as an entry holds it: of a length that keeps the entry within its bound, and sure to be UTF-8."""
    shown = text[:characters_max].encode("utf-8", "backslashreplace").decode()
    return shown if len(text) <= characters_max else shown + "…"


def encode_anchor(head: Head) -> bytes:
    """An anchor as a manifest holds it."""
    return _ANCHOR.pack(bytes.fromhex(head.log), head.seq, bytes.fromhex(head.hash))


def decode_anchor(data: bytes) -> Anchor | None:
    """The anchor in a manifest; None where it has none."""
    if len(data) != _ANCHOR.size:
        return None
    log, seq, digest = _ANCHOR.unpack(data)
    return Anchor(log.hex(), seq, digest.hex())


def segment_name(first: int) -> str:
    """The file that begins with that entry."""
    return f"{first:012d}.jsonl"
