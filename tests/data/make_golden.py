"""Makes `tests/data/format-v1`: a repository that every later version must read. Run once per format version.

`python -m tests.data.make_golden` writes beside itself. The states come from `golden_state`, so that a test can also
check that today's code gives the same roots for the same records.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import tempfile
from pathlib import Path

from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.codec.compression import Codec
from maos_ckpt.codec.policy import CodecSettings
from maos_ckpt.model import Trigger
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.spec import open_source

HERE = Path(__file__).parent
GOLDEN = HERE / "format-v1"
CODECS = (Codec.ZSTD, Codec.LZ4, Codec.GZIP, Codec.BROTLI, Codec.NONE)


def golden_state(path: Path, step: int) -> None:
    """Bring the database at `path` from step - 1 to `step`; step 0 makes it."""
    rng = random.Random(step)
    words = [f"{rng.getrandbits(40):010x}" for _ in range(80)]
    connection = sqlite3.connect(path)
    if step == 0:
        connection.executescript(
            "CREATE TABLE notes(id TEXT PRIMARY KEY, body TEXT, weight REAL, mark BLOB);"
            "CREATE TABLE counts(a INTEGER, b TEXT, n INTEGER, PRIMARY KEY(a, b)) WITHOUT ROWID;"
            "CREATE TABLE hard(v);"
        )
        rows = [(f"note-{i:04}", " ".join(rng.choices(words, k=30)), i / 7, rng.randbytes(9)) for i in range(400)]
        connection.executemany("INSERT INTO notes VALUES(?, ?, ?, ?)", rows)
        connection.executemany("INSERT INTO counts VALUES(?, ?, ?)", [(i % 5, f"k{i}", -i) for i in range(60)])
        hard = [None, 2**63 - 1, -(2**63), float("inf"), -0.0, "text\0nul", b"", "ü\U0001f600", "x" * 300_000]
        connection.executemany("INSERT INTO hard VALUES(?)", [(one,) for one in hard])
        connection.execute("INSERT INTO hard VALUES(CAST(x'c3ff' AS TEXT))")
    else:
        connection.execute("UPDATE notes SET body = body || ? WHERE id LIKE ?", (f" step {step}", f"%{step}7"))
        connection.execute("DELETE FROM counts WHERE a = ?", (step,))
        connection.execute("INSERT INTO notes VALUES(?, ?, ?, ?)", (f"new-{step}", " ".join(words) * 90, 1.5, None))
    connection.commit()
    connection.close()


def main() -> None:
    """Make the repository and the list of its roots."""
    shutil.rmtree(GOLDEN, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "golden.db")
        golden_state(database, 0)
        source = open_source(f"sqlite:{database}", claude_home=Path(folder), seams=SYSTEM)
        repository = Repository.open_or_create(GOLDEN, source.spec, SYSTEM)
        roots = []
        for step, codec in enumerate(CODECS):
            if step:
                golden_state(database, step)
            request = SaveRequest(Trigger.MANUAL, f"step {step}", (codec.name,), codec=CodecSettings(codec, 6))
            with repository.lease("save"):
                checkpoint = save_checkpoint(repository, source, request, lambda _: None, SYSTEM)
            roots.append({one.path: one.root.hex() if one.root else "" for one in checkpoint.collections})
        repository.set_marks(repository.checkpoints()[-1], pinned=True)
        repository.close()
    for name in ("cache", "journal", "recovery", "tmp", "lease"):
        target = GOLDEN / name
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
    header = json.loads((GOLDEN / "maos-ckpt.json").read_text())
    (GOLDEN / "maos-ckpt.json").write_text(json.dumps(header | {"source": "sqlite:/srv/golden.db"}) + "\n")
    (HERE / "format-v1-roots.json").write_text(json.dumps(roots, indent=1) + "\n")


if __name__ == "__main__":
    main()
