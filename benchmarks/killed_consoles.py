"""Consoles killed at random during real saves and recoveries: `python -m benchmarks.killed_consoles --rounds 20`.

Each round a console under a terminal of its own asks for a save or a recovery; its terminal goes away, or it is killed,
at a random moment of that; the next console shows where it is, or that it is done; the engine must have finished it,
once.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

from maos_ckpt.api.remote import RemoteClient
from tests.engine.support import wait_until
from tests.lab.mutate import mutate
from tests.lab.values import dump_exact
from tests.remote.headless import Headless, headless
from tests.remote.test_terminal import kill, operation, recover

STATE_BYTES = 20_000_000


def save_killed(engine: Headless, client: RemoteClient, dice: random.Random, number: int) -> tuple[float, bool]:
    before = len(client.checkpoints())
    mutate(engine.database.parent, 0.3, seed=number)
    with engine.terminal() as terminal:
        terminal.until("attached")
        terminal.type("c")
        terminal.until("Checkpoint now")
        terminal.type(f"round {number}\r")
        wait_until(lambda: operation(client) == "save", "the save to begin")
        time.sleep(dice.uniform(0.0, 0.4))
        kill(terminal, dice.choice(["hang-up", "kill"]))
    shown_s, running = attach_again(engine, client)
    wait_until(lambda: not operation(client), "the save to end")
    assert len(client.checkpoints()) == before + 1
    assert client.checkpoint("latest").description == f"round {number}"
    return shown_s, running


def recovery_killed(engine: Headless, client: RemoteClient, dice: random.Random, number: int) -> tuple[float, bool]:
    wanted = tables(engine)
    point = client.save("wanted")
    mutate(engine.database.parent, 0.3, seed=number)
    with engine.terminal() as terminal:
        terminal.until(point.id[-6:])
        recover(terminal, point.id[-6:])
        wait_until(lambda: operation(client) == "restore", "the recovery to begin")
        time.sleep(dice.uniform(0.0, 1.0))
        kill(terminal, dice.choice(["hang-up", "kill"]))
    shown_s, running = attach_again(engine, client)
    wait_until(lambda: not operation(client), "the recovery to end")
    fields = next(fields for name, fields in client.recent_events(50) if name == "RecoveryCompleted")
    assert (fields["checkpoint"], fields["verified"]) == (point.id, True)
    assert tables(engine) == wanted
    return shown_s, running


def tables(engine: Headless) -> dict[str, object]:
    return {name: rows for name, rows in dump_exact(engine.database).items() if name != "sqlite_master"}


def attach_again(engine: Headless, client: RemoteClient) -> tuple[float, bool]:
    """Seconds from the start of the process to what it shows, and whether the operation still ran then."""
    with engine.terminal() as again:
        shown_s = again.until("attached")
        running = bool(operation(client))
        again.type("q")
        assert again.wait(5)
    return shown_s, running


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    shown: list[float] = []
    ran = 0
    with (
        tempfile.TemporaryDirectory() as directory,
        headless(Path(directory), STATE_BYTES) as engine,
        engine.client() as client,
    ):
        for number in range(1, arguments.rounds + 1):
            work = (save_killed, recovery_killed)[number % 2]
            shown_s, running = work(engine, client, dice, number)
            shown.append(shown_s)
            ran += running
            print(f"{number}: {work.__name__}, shown after {shown_s:.2f} s, {'running' if running else 'done'}")
    print(f"shown: median {statistics.median(shown):.2f} s, max {max(shown):.2f} s; still running in {ran}")


if __name__ == "__main__":
    main()
