"""A repository with several checkpoints of a changing MAOS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.codec.secret import Secret
from maos_ckpt.model import Checkpoint, Trigger
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.spec import open_source
from tests.lab.build import build_state
from tests.lab.mutate import mutate


class Shelf:
    """A MAOS directory and its repository."""

    def __init__(self, folder: Path, key: Secret | None = None) -> None:
        self.key = key
        self.home = folder / "claude"
        self.directory = folder / "maos"
        build_state(self.directory, self.home, 1_500_000, seed=3, transcript_bytes=100_000)
        self.source = open_source(f"maos:{self.directory}", claude_home=self.home, seams=SYSTEM)
        self.path = folder / "repository"
        self.repository = Repository.open_or_create(self.path, self.source.spec, SYSTEM, key=key)

    def save(self, description: str = "") -> Checkpoint:
        with self.repository.lease("save"):
            request = SaveRequest(Trigger.MANUAL, description)
            return save_checkpoint(self.repository, self.source, request, lambda _: None, SYSTEM)

    def change(self, seed: int) -> None:
        mutate(self.directory, 0.03, seed)

    def reopen(self) -> Repository:
        self.repository.close()
        self.repository = Repository.open(self.path, SYSTEM, key=self.key)
        return self.repository

    def packs(self) -> list[Path]:
        return sorted(path for path in (self.path / "packs").rglob("*") if path.is_file())


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path)
    yield made
    made.repository.close()
