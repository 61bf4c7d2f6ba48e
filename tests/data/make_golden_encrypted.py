"""Makes `tests/data/format-v1-encrypted`: an encrypted repository that every later version must read. Run once.

`python -m tests.data.make_golden_encrypted` writes beside itself. Ids, salts, nonces and the master key are the same in
every run; what is secret anywhere else is written down here.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.codec.compression import Codec
from maos_ckpt.codec.policy import CodecSettings
from maos_ckpt.codec.secret import Secret, passphrase
from maos_ckpt.model import Trigger
from maos_ckpt.repository.keyring import add_slot
from maos_ckpt.repository.repository import Repository
from maos_ckpt.sources.spec import open_source
from tests.codec.randomness import numbered_seams
from tests.data.make_golden import HERE, golden_state

GOLDEN = HERE / "format-v1-encrypted"
ROOTS = HERE / "format-v1-encrypted-roots.json"
WORDS = passphrase("golden words of no worth")
KEY_FILE = Secret("key_file", bytes(range(64)))
STEPS = 3


def save_step(repository: Repository, database: Path, step: int) -> dict[str, str]:
    """Bring the database to a step and save it; the roots."""
    golden_state(database, step)
    source = open_source(f"sqlite:{database}", claude_home=database.parent, seams=repository.seams)
    request = SaveRequest(Trigger.MANUAL, f"step {step}", ("golden",), codec=CodecSettings(Codec.ZSTD, 6))
    with repository.lease("save"):
        saved = save_checkpoint(repository, source, request, lambda _: None, repository.seams)
    return {one.path: one.root.hex() if one.root else "" for one in saved.collections}


def main() -> None:
    """Make the repository and the list of its roots."""
    shutil.rmtree(GOLDEN, ignore_errors=True)
    seams = numbered_seams()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "golden.db")
        repository = Repository.open_or_create(GOLDEN, f"sqlite:{database.resolve()}", seams, key=KEY_FILE)
        master = repository.sealer.master
        assert master is not None
        add_slot(repository.backend, master, WORDS, repository.header.id, seams, label="words")
        roots = [save_step(repository, database, step) for step in range(STEPS)]
        repository.set_marks(repository.checkpoints()[-1], pinned=True, tags=["kept"])
        repository.close()
    for name in ("cache", "journal", "recovery", "tmp", "lease"):
        target = GOLDEN / name
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
    header = json.loads((GOLDEN / "maos-ckpt.json").read_text())
    header.pop("checksum", None)
    (GOLDEN / "maos-ckpt.json").write_text(json.dumps(header | {"source": "sqlite:/srv/golden.db"}) + "\n")
    ROOTS.write_text(json.dumps(roots, indent=1) + "\n")


if __name__ == "__main__":
    main()
