"""A small MAOS state and a workspace on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from maos_ckpt.config import Config
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.lab.build import build_state

MakeWorkspace = Callable[..., Workspace]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace on a MAOS directory of some 200 KB, without a repository yet."""
    directory = tmp_path / "team"
    build_state(directory, tmp_path / "claude", 200_000, seed=1, transcript_bytes=50_000)
    return Workspace(directory / ".maos-ckpt", f"maos:{directory}", tmp_path / "claude", Config(), SYSTEM)


@pytest.fixture
def configured(workspace: Workspace) -> MakeWorkspace:
    """The workspace with other settings."""

    def make(**settings: object) -> Workspace:
        config = msgspec.structs.replace(workspace.config, **settings)
        return Workspace(workspace.repository, workspace.source, workspace.claude_home, config, workspace.seams)

    return make
