"""Paths as people write them: what leads nowhere is said in one sentence, never passed over."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from maos_ckpt.codec.secret import read_secret
from maos_ckpt.config import load
from maos_ckpt.errors import PermissionRefusedError, UsageError
from maos_ckpt.operations.locate import locate
from maos_ckpt.seams import SYSTEM

NOWHERE = "~nobody-of-that-name/x"


def configured(cwd: Path) -> object:
    return load(cwd=cwd, file=NOWHERE, variables={}, config_home=cwd)


def secret(cwd: Path) -> object:
    return read_secret(f"file:{NOWHERE}")


def repository(cwd: Path) -> object:
    flags = {"storage.local.path": ("--repo", NOWHERE)}
    return locate(load(cwd=cwd, flags=flags, variables={}, config_home=cwd), cwd, SYSTEM)


def source(cwd: Path) -> object:
    flags = {"sources": ("--source", f"maos:{NOWHERE}")}
    return locate(load(cwd=cwd, flags=flags, variables={}, config_home=cwd), cwd, SYSTEM)


@pytest.mark.parametrize("use", [configured, secret, repository, source])
def test_the_home_of_a_user_who_does_not_exist_is_a_wrong_call(tmp_path: Path, use: Callable[[Path], object]) -> None:
    with pytest.raises(UsageError, match="a user who does not exist"):
        use(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_place_where_a_file_cannot_be_looked_for_is_not_passed_over(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with pytest.raises(PermissionRefusedError, match="cannot be looked for"):
        load(cwd=tmp_path, variables={}, config_home=closed)


def test_a_name_that_no_file_can_have_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PermissionRefusedError, match="cannot be looked for"):
        load(cwd=tmp_path, file="x" * 5000, variables={}, config_home=tmp_path)
