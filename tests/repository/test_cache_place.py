"""A folder of expendable files that cannot be used costs time, and nothing else."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from maos_ckpt.model import VerifyLevel
from maos_ckpt.verify import verify
from tests.integrity.conftest import Pair, alone

__all__ = ["alone"]


def _a_file(cache: Path) -> None:
    cache.write_text("what is this")


def _unwritable(cache: Path) -> None:
    # The kernel refuses new files there, to root as well.
    cache.symlink_to("/proc/self/fdinfo")


@pytest.mark.parametrize("spoil", [_a_file, _unwritable])
def test_saving_reading_and_verifying_work_without_it(
    alone: Pair, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    alone.save()
    alone.home.close()
    shutil.rmtree(alone.path / "cache")
    spoil(alone.path / "cache")
    with caplog.at_level(logging.WARNING):
        alone.reopen()
    assert ("cannot be used" in caplog.text) == (spoil is _unwritable)
    alone.add("more")
    second = alone.save()
    assert second.stored_bytes
    assert not second.capture.unchanged
    alone.reopen()
    third = alone.save()
    assert third.stored_bytes == 0
    assert third.capture.unchanged == (spoil is _a_file)
    assert verify(alone.reopen(), [], VerifyLevel.FULL).ok
    assert [one.records for one in alone.home.checkpoints()] == [10, 10, 9]
