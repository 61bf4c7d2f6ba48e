"""A state that comes back to be as it was, after a prune took what its chunks leaned on, is stored whole."""

from __future__ import annotations

import contextlib
import random
import sqlite3

from maos_ckpt.codec.compression import Codec
from maos_ckpt.model import VerifyLevel
from maos_ckpt.prune import prune
from maos_ckpt.verify import verify
from tests.integrity.conftest import Pair, alone

__all__ = ["alone"]


def write(pair: Pair, statement: str, rows: list[tuple[object, ...]]) -> None:
    with contextlib.closing(sqlite3.connect(pair.database)) as connection, connection:
        connection.executemany(statement, rows)


def test_a_delta_that_lost_its_base_is_not_counted_on(alone: Pair) -> None:
    rng = random.Random(5)
    update = "UPDATE notes SET text=? WHERE id=?"
    for _ in range(150):
        alone.add(rng.randbytes(100).hex())
    alone.save()
    write(alone, "INSERT INTO notes(text) VALUES(?)", [("one more",)])
    with contextlib.closing(sqlite3.connect(alone.database)) as connection:
        as_it_was = [(text, number) for number, text in connection.execute("SELECT id, text FROM notes")]
        connection.execute("CREATE TABLE extra(id INTEGER PRIMARY KEY, data BLOB)")
        connection.execute("INSERT INTO extra(data) VALUES(?)", (rng.randbytes(60_000),))
        connection.commit()
    leaning = alone.save()
    deltas = [one for one in alone.home.index.pack_chunks(leaning.pack) if one.codec == Codec.ZSTD_DELTA]
    assert deltas
    write(alone, update, [(rng.randbytes(100).hex(), number) for _, number in as_it_was])
    alone.save()
    with alone.home.lease("prune"):
        assert len(prune(alone.home, 1).removed) == 2
    kept = {one.id for one in alone.home.index.pack_chunks(leaning.pack)}
    orphans = [one for one in deltas if one.id in kept and alone.home.index.find_base(one.base) is None]
    assert orphans, "the pack stays for what else is in it, and the bases of its deltas went"
    write(alone, update, as_it_was)
    alone.save()
    assert verify(alone.home, [], VerifyLevel.FULL).ok
