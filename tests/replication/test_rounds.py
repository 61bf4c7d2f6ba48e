"""A short form of `python -m tests.replication.rounds`, which goes on for as many rounds as it is told."""

from __future__ import annotations

from pathlib import Path

from tests.backends.servers import Server
from tests.replication.rounds import Rounds


def test_two_machines_killed_at_random_leave_nothing_missing(tmp_path: Path, moto: Server) -> None:
    rounds = Rounds(tmp_path, moto.settings("short-rounds/one"), seed=3)
    for _ in range(2):
        rounds.run()
    rounds.settle()
    assert rounds.outcomes["rounds"] == 3
