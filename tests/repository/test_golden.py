"""The repository that version 1 of the format left behind is still read, and the same records still give its roots."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.codec.compression import Codec
from maos_ckpt.diff import browse
from maos_ckpt.model import Trigger, VerifyLevel
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.spec import open_source
from maos_ckpt.states import StoredState
from maos_ckpt.verify import verify
from tests.data.make_golden import CODECS, GOLDEN, golden_state

ROOTS = json.loads((GOLDEN.parent / "format-v1-roots.json").read_text())


def test_the_golden_repository_verifies_in_full_and_holds_its_records(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "golden")
    repository = Repository.open(tmp_path / "golden", SYSTEM, read_only=True)
    result = verify(repository, [], VerifyLevel.FULL)
    assert result.findings == ()
    assert result.checkpoints == len(CODECS)
    newest, *_, oldest = repository.checkpoints()
    assert (oldest.description, oldest.tags) == ("step 0", ("ZSTD",))
    assert [one.pinned for one in repository.checkpoints()] == [False, False, False, False, True]
    records = {(one.collection, one.key): one.values for one in browse(StoredState(repository, oldest))}
    assert records["notes", "note-0007"]["weight"] == 1.0
    assert records["counts", "3/k3"]["n"] == -3
    assert records["hard", "9"]["v"] == "x" * 300_000
    assert [one.key for one in browse(StoredState(repository, newest), pattern="new-*")] == [
        "new-1",
        "new-2",
        "new-3",
        "new-4",
    ]
    stored = {stored.codec for pack in repository.index.packs() for stored in repository.index.pack_chunks(pack)}
    assert stored >= set(Codec)
    repository.close()


def test_the_same_records_give_the_same_roots_as_ever(tmp_path: Path) -> None:
    database = tmp_path / "golden.db"
    golden_state(database, 0)
    source = open_source(f"sqlite:{database}", claude_home=tmp_path, seams=SYSTEM)
    repository = Repository.open_or_create(tmp_path / "repository", source.spec, SYSTEM)
    for step, expected in enumerate(ROOTS):
        if step:
            golden_state(database, step)
        with repository.lease("save"):
            checkpoint = save_checkpoint(repository, source, SaveRequest(Trigger.MANUAL), lambda _: None, SYSTEM)
        roots = {one.path: one.root.hex() if one.root else "" for one in checkpoint.collections}
        # The schema's pragmas tell of the SQLite that made the file, so its root is not the same everywhere.
        roots.pop("database/schema")
        expected.pop("database/schema")
        assert roots == expected
    repository.close()
