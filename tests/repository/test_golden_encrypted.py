"""The encrypted repository that version 1 of the format left behind still opens, by each of its keys."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from maos_ckpt.codec.secret import Secret
from maos_ckpt.diff import browse
from maos_ckpt.errors import PermissionRefusedError
from maos_ckpt.model import VerifyLevel
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.states import StoredState
from maos_ckpt.verify import verify
from tests.data.make_golden_encrypted import GOLDEN, KEY_FILE, ROOTS, STEPS, WORDS, save_step


@pytest.mark.parametrize("key", [WORDS, KEY_FILE], ids=["passphrase", "key file"])
def test_the_golden_repository_verifies_in_full_and_holds_its_records(tmp_path: Path, key: Secret) -> None:
    shutil.copytree(GOLDEN, tmp_path / "golden")
    repository = Repository.open(tmp_path / "golden", SYSTEM, read_only=True, key=key)
    assert verify(repository, [], VerifyLevel.FULL).findings == ()
    newest, *_, oldest = repository.checkpoints()
    assert (newest.description, newest.tags, newest.pinned) == ("step 2", ("golden",), False)
    assert (oldest.tags, oldest.pinned) == (("kept",), True)
    assert [one.key for one in browse(StoredState(repository, newest), pattern="new-*")] == ["new-1", "new-2"]
    repository.close()


def test_the_golden_repository_opens_with_no_other_key() -> None:
    with pytest.raises(PermissionRefusedError):
        Repository.open(GOLDEN, SYSTEM, read_only=True, key=Secret("key_file", bytes(range(1, 65))))


def test_the_same_records_give_the_same_names_under_the_same_key(tmp_path: Path) -> None:
    expected = json.loads(ROOTS.read_text())
    assert len(expected) == STEPS
    # The same keys and id, and nothing saved yet.
    again = tmp_path / "again"
    shutil.copytree(GOLDEN, again)
    for name in ("manifests", "marks", "packs"):
        shutil.rmtree(again / name)
        (again / name).mkdir()
    database = tmp_path / "golden.db"
    header = json.loads((again / "maos-ckpt.json").read_text())
    (again / "maos-ckpt.json").write_text(json.dumps(header | {"source": f"sqlite:{database.resolve()}"}))
    repository = Repository.open(again, SYSTEM, key=KEY_FILE)
    for step in range(STEPS):
        roots = save_step(repository, database, step)
        # The schema's pragmas tell of the SQLite that made the file, so its root is not the same everywhere.
        assert roots | {"database/schema": ""} == expected[step] | {"database/schema": ""}
    repository.close()
