"""What reading stored bytes as what they should be raises where they are something else."""

from __future__ import annotations

from typing import Final

import msgspec

#: Text that is no UTF-8 raises a ValueError, nesting beyond the interpreter's depth a RecursionError: neither is a
#: DecodeError.
UNDECODABLE: Final = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)
