"""Small JSON objects that state their own checksum, so that no byte of them changes unnoticed.

The last member is `checksum`: the SHA-256 of all text before it. Objects of the first versions have none; they are
taken as they are, as long as they hold nothing but members that are known.
"""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import IntegrityError

_T = TypeVar("_T", bound=msgspec.Struct)
_S = TypeVar("_S")
_DIGITS = 64
#: What stands before and after the digits: on one line, and over several.
_FORMS = ((b',"checksum":"', b'"}\n'), (b',\n  "checksum": "', b'"\n}\n'))


def with_checksum(text: bytes) -> bytes:
    """A JSON object with at least one member, on one line or indented by two, with its checksum at the end."""
    pretty = b"\n" in text.strip()
    before, after = _FORMS[pretty]
    body = text.strip().removesuffix(b"}").rstrip(b"\n")
    return body + before + hashlib.sha256(body).hexdigest().encode() + after


def states_checksum(data: bytes) -> bool | None:
    """Whether stored bytes are those that their own checksum states; None where they state none."""
    for before, after in _FORMS:
        end = len(data) - len(after)
        start = end - _DIGITS
        if start > len(before) and data.endswith(after) and data[start - len(before) : start] == before:
            return hashlib.sha256(data[: start - len(before)]).hexdigest().encode() == data[start:end]
    return None


def decode_checked(data: bytes, name: str, shape: type[_T]) -> _T:
    """A stored JSON object of that shape (a struct), after a look whether it is what was written.

    Raises:
        IntegrityError: it is not.
    """
    damaged = IntegrityError(f"The object {name} is not what was written.", object=name)
    right = states_checksum(data)
    # What became of a checksum that cannot be found any more is no member that is known.
    unknown = right is None and not _decoded(data, dict[str, msgspec.Raw], damaged).keys() <= set(
        shape.__struct_fields__
    )
    if right is False or unknown:
        raise damaged
    return _decoded(data, shape, damaged)


def _decoded(data: bytes, shape: type[_S], damaged: IntegrityError) -> _S:
    try:
        return msgspec.json.decode(data, type=shape)
    except UNDECODABLE as error:
        raise damaged from error
