"""Crashed MAOSes, and what an operator does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maos_ckpt.config import Config
from maos_ckpt.model import Plan, RecoveryResult, ResumePoint
from maos_ckpt.operations import recoveries, rescues
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.maos.layout import Layout
from tests.recovery.conftest import Site
from tests.rescue.crash import CrashedMaos


class Operator:
    """The operations on one MAOS, in this process."""

    def __init__(self, layout: Layout, repository: Path) -> None:
        spec = f"maos:{layout.directory}"
        self.workspace = Workspace(repository, spec, layout.claude_home, Config(), SYSTEM)

    def plan(self) -> Plan:
        return rescues.plan(self.workspace, 1000, lambda step: None)

    def rescue(self, digest: str | None = None) -> RecoveryResult:
        return rescues.rescue(self.workspace, digest, "test", 1000, lambda step: None)

    def undo(self) -> RecoveryResult:
        return recoveries.undo(self.workspace, None, "test", 1000, lambda step: None)

    def resume_point(self, agent: str, at: str = "") -> ResumePoint:
        return rescues.resume_point(self.workspace, agent, at, lambda step: None)


def reasons(plan: Plan) -> dict[str, str]:
    """Why each record changes, by collection and key."""
    return {f"{one.collection}/{one.key}": one.reason for one in plan.changes}


@pytest.fixture
def crashed(tmp_path: Path) -> Iterator[CrashedMaos]:
    """A MAOS that was killed; its agents' processes run on."""
    maos = CrashedMaos(tmp_path)
    try:
        maos.start()
        maos.kill()
        yield maos
    finally:
        maos.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A MAOS with two agents that never did anything."""
    return Site(tmp_path)


@pytest.fixture
def operator(site: Site) -> Operator:
    return Operator(site.layout, site.folder / "repository")


Make = Callable[[Layout, Path], Operator]
