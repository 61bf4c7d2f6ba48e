"""The image of the last checkpoint, kept beside the repository's other expendable files.

The next capture compares its own image with it. A kept image that is not exactly what the checkpoint was made from
would give wrong answers, so these things must hold before it is used:

- The memo that names it belongs to the checkpoint (the caller checks that), and the name is random: an image that is
  replaced or brought up to date gets a new name first, so a memo that was not written any more names nothing.
- Device, inode, size and both times are those of the moment it was finished. Whoever writes to it, copies it or puts
  another in its place moves the change time, which no program can set.
- The machine has not been started since. The image is never synced; after a power failure pages of it may be older than
  its times say, but within one run of the kernel what was written is what is read.
- Some of its pages, spread evenly, still have their checksum: that much against a disk that lost them.

What slips through all this is still met by the count of records that every save checks in the end.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from maos_ckpt.seams import Seams
from maos_ckpt.sources.memo import ImageMark
from maos_ckpt.sources.sqlite.pages import PageFile, write_pages

#: Images of larger databases are not kept.
KEPT_BYTES_MAX: Final = 4 << 30
#: What must stay free on the disk beside a kept image and the next capture's own.
ROOM_BYTES_MIN: Final = 1 << 30
_NAME = re.compile(r"image-[0-9a-f]{32}\.db")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SAMPLES = 64
_SAMPLE_BYTES = 4096


def find(directory: Path, mark: ImageMark) -> Path | None:
    """The kept image behind a mark, if it is still what it was."""
    path = directory / mark.name
    try:
        return path if _mark(path) == mark else None
    except OSError:
        return None


def take_over(image: Path, directory: Path, seams: Seams) -> ImageMark | None:
    """Keep a finished image, by giving it another name; None where it is not kept."""
    with contextlib.suppress(OSError):
        if _has_room(directory, os.stat(image).st_size):
            target = _new_path(directory, seams)
            os.rename(image, target)
            return _finish(target)
    discard_others(directory, "")
    return None


def bring_up_to_date(kept: Path, changed: set[int], new: PageFile, seams: Seams) -> ImageMark | None:
    """Write the pages that differ into a kept image; None where that failed and none is kept any more.

    Most pages stay as they are on the disk: storing the whole image again would make the kernel write all of it.
    """
    with contextlib.suppress(OSError):
        size = new.shape.pages * new.shape.page_bytes
        if _has_room(kept.parent, size):
            target = _new_path(kept.parent, seams)
            # First of all: from now on neither a memo nor a reader that is under way takes it for what it was.
            os.rename(kept, target)
            fd = os.open(target, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                write_pages(fd, changed, new)
                os.ftruncate(fd, size)
            finally:
                os.close(fd)
            return _finish(target)
    discard_others(kept.parent, "")
    return None


def discard_others(directory: Path, name: str) -> None:
    """Remove every kept image but the one called `name`."""
    for path in _all(directory):
        if path.name != name:
            with contextlib.suppress(OSError):
                path.unlink()


def make_room(directory: Path, size: int) -> None:
    """Remove kept images where a new one of `size` bytes would leave too little of the disk free."""
    with contextlib.suppress(OSError):
        if not _has_room(directory, size):
            discard_others(directory, "")


def _all(directory: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                yield Path(entry.path)


def _has_room(directory: Path, size: int) -> bool:
    found = os.statvfs(directory)
    return size <= KEPT_BYTES_MAX and found.f_bavail * found.f_frsize >= size + ROOM_BYTES_MIN


def _new_path(directory: Path, seams: Seams) -> Path:
    return directory / f"image-{seams.random.token(16).hex()}.db"


def _finish(path: Path) -> ImageMark | None:
    discard_others(path.parent, path.name)
    return _mark(path)


def _mark(path: Path) -> ImageMark | None:
    """What is there now; None where no one can tell whether the machine was started since."""
    try:
        boot = _BOOT.read_bytes().strip()
    except OSError:
        return None
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(fd)
        if not boot or not stat.S_ISREG(found.st_mode):
            return None
        sample = 0
        for index in range(_SAMPLES):
            at = found.st_size // _SAMPLE_BYTES * index // _SAMPLES * _SAMPLE_BYTES
            sample = zlib.crc32(os.pread(fd, _SAMPLE_BYTES, at), sample)
    finally:
        os.close(fd)
    return ImageMark(
        path.name,
        boot,
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        sample,
    )
