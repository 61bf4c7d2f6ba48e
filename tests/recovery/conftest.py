"""A MAOS and everything an operator does to it, in this process."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.config import Config
from maos_ckpt.model import Checkpoint, Finding, Plan, RecoveryResult, Selection, Trigger
from maos_ckpt.operations import checkpoints, recoveries
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.maos.layout import Layout
from tests.lab.schemas import create_schema


class Site:
    """A MAOS directory with its repository. The database has MAOS's tables and, from the start, two agents."""

    def __init__(self, folder: Path) -> None:
        for name in ("work", "claude/projects"):
            (folder / name).mkdir(parents=True)
        self.folder = folder
        self.layout = Layout.of(folder / "work", folder / "claude", folder)
        self.database = self.layout.database
        spec = f"maos:{self.layout.directory}"
        self.workspace = Workspace(folder / "repository", spec, folder / "claude", Config(), SYSTEM)
        with closing(self.connect()) as connection:
            create_schema(connection, "0.9")
        self.run("INSERT INTO agents (id, name) VALUES ('a-0000000a', 'Ada'), ('b-0000000b', 'Bob')")

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.database, isolation_level=None)

    def run(self, *statements: str) -> list[tuple[object, ...]]:
        """Runs statements; the rows of the last one."""
        with closing(self.connect()) as connection:
            return [connection.execute(one).fetchall() for one in statements][-1]

    def agents(self) -> list[object]:
        return [row[0] for row in self.run("SELECT name FROM agents ORDER BY id")]

    def transcript(self, name: str, *lines: str) -> Path:
        path = self.layout.projects / self.layout.slugs[0] / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def save(self) -> Checkpoint:
        return checkpoints.save(self.workspace, Trigger.MANUAL, "", (), lambda step: None)

    def plan(self, name: str = "latest", selection: Selection | None = None) -> Plan:
        return recoveries.plan(self.workspace, name, selection or Selection(), 100, lambda step: None)

    def recover(
        self, name: str = "latest", selection: Selection | None = None, digest: str | None = None
    ) -> RecoveryResult:
        return recoveries.recover(
            self.workspace, name, selection or Selection(), digest, "test", 100, lambda step: None
        )

    def spoil(self, chunk: bytes) -> None:
        """Flip a byte of a stored chunk."""
        with self.workspace.reading() as repository:
            found = repository.index.find(chunk)
            assert found is not None
            pack, stored = found
            file = repository.path / pack
        file.chmod(0o600)
        with file.open("r+b") as stream:
            stream.seek(stored.offset + stored.stored // 2)
            byte = stream.read(1)[0]
            stream.seek(stored.offset + stored.stored // 2)
            stream.write(bytes([byte ^ 0x55]))

    def undo_plan(self, only: Selection | None = None) -> Plan:
        return recoveries.undo_plan(self.workspace, 100, lambda step: None, only=only or Selection())

    def undo(self, digest: str | None = None, only: Selection | None = None) -> RecoveryResult:
        return recoveries.undo(self.workspace, digest, "test", 100, lambda step: None, only=only or Selection())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def kinds(findings: tuple[Finding, ...]) -> list[str]:
    return [one.kind for one in findings]


@pytest.fixture
def spoilt(site: Site) -> Site:
    """A site with a checkpoint, for tests that spoil what it holds."""
    site.transcript("one", "{}", '{"a": 1}')
    site.transcript("two", "{}")
    (site.layout.directory / ".maos.yml").write_text("spoilt: false\n")
    site.save()
    return site
