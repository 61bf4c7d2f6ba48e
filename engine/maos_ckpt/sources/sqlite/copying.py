"""Copying bytes between descriptors as fast as the kernel can."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Final

#: Between two pieces the caller looks at its clock: some 5 ms from memory, 0.1 s from a slow disk.
PIECE_BYTES: Final = 16 << 20
#: Reasons of the kernel to refuse `copy_file_range` between two kinds of file systems.
_UNSUPPORTED = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


def copy_range(source: int, target: int, length: int, between: Callable[[], None] = lambda: None) -> None:
    """Copy the first `length` bytes of `source` to `target`; neither descriptor's position is used or moved.

    `between` is called after every piece and may raise.

    Raises:
        OSError: reading or writing failed; EIO where the source ends before `length`.
    """
    in_kernel = hasattr(os, "copy_file_range")
    at = 0
    while at < length:
        size = min(PIECE_BYTES, length - at)
        if in_kernel:
            try:
                done = os.copy_file_range(source, target, size, at, at)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                in_kernel = False
                continue
        else:
            done = _copy_piece(source, target, size, at)
        if done == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        at += done
        between()


def _copy_piece(source: int, target: int, size: int, at: int) -> int:
    view = memoryview(os.pread(source, size, at))
    done = 0
    while done < len(view):
        done += os.pwrite(target, view[done:], at + done)
    return done
