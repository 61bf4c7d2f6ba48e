"""A program and its MAOS at one moment: `python -m benchmarks.barrier [--checkpoints 500]`.

Five managers, a MAOS database and a transcript keep an invariant across all of them while they are written
(`tests.library.ledger`); checkpoints are taken under the program's own hooks. Reports how many of them break it (there
must be none), how many do so without hooks, pause and skew, and whether a recovery of each part brings the managers'
objects back.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from maos_ckpt import CheckpointSystem, create_checkpoint_system
from maos_ckpt.model import Checkpoint
from tests.library.ledger import PLACES, Ledger, broken

#: Checkpoints that are taken without hooks, to see that the invariant can be broken at all.
CONTROL = 20


def percentile(values: list[float], share: float) -> float:
    """The nearest-rank percentile."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, round(share * len(ranked)))]


def system_of(ledger: Ledger, repository: Path, *, hooks: bool) -> CheckpointSystem:
    """A checkpoint system on a ledger."""
    config = {
        "sources": [f"maos:{ledger.directory}"],
        "claudeHome": str(ledger.claude_home),
        "intervalSeconds": 86_400,
        "maxCheckpoints": 0,
        "scrubDays": 0,
        "storage": {"local": {"path": str(repository)}},
    }
    quiesce, resume = (ledger.hold, ledger.release) if hooks else (None, None)
    return create_checkpoint_system(config, ledger.managers, quiesce=quiesce, resume=resume)


async def take(ledger: Ledger, repository: Path, count: int, *, hooks: bool) -> tuple[list[Checkpoint], int]:
    """Take checkpoints; those, and how many of them break the invariant."""
    async with system_of(ledger, repository, hooks=hooks) as system:
        taken = [await system.create_checkpoint(f"number {number}") for number in range(count)]
    # The first save of an engine is its schedule's; that one counts as well.
    workspace = system.workspace
    bad = sum(broken(ledger.stored(workspace, one.id)) for one in taken)
    return taken, bad


async def recover(
    ledger: Ledger, repository: Path, checkpoint: Checkpoint, components: Sequence[str] = (*PLACES[:-1], "")
) -> dict[str, bool]:
    """Bring each of some components back by itself, "" being everything; whether the objects are as captured."""
    done: dict[str, bool] = {}
    async with system_of(ledger, repository, hooks=True) as system:
        wanted = ledger.stored(system.workspace, checkpoint.id)
        for component in components:
            result = await system.recover_from_checkpoint(
                checkpoint_id=checkpoint.id, components=[component] if component else []
            )
            now = ledger.entries()
            parts = [component] if component else list(PLACES[:-1])
            done[component or "everything"] = result.verified and all(now[one] == wanted[one] for one in parts)
    return done


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder, "team"), Path(folder, "claude"))
        ledger.start()
        _, control = asyncio.run(take(ledger, Path(folder, "control"), CONTROL, hooks=False))
        taken, bad = asyncio.run(take(ledger, Path(folder, "repository"), arguments.checkpoints, hooks=True))
        ledger.stop()
        transactions = ledger.number
        done = asyncio.run(recover(ledger, Path(folder, "repository"), taken[len(taken) // 2]))
    pauses = [one.capture.pause_s * 1000 for one in taken]
    skews = [one.capture.skew_s * 1000 for one in taken]
    held = sum(one.capture.held for one in taken)
    print(f"{len(taken)} checkpoints beside {transactions} transactions, {held} of them held still: {bad} broken")
    print(f"without hooks: {control} of {CONTROL} broken")
    for name, values in (("pause", pauses), ("skew", skews)):
        print(f"{name}: median {statistics.median(values):.1f} ms, p99 {percentile(values, 0.99):.1f} ms,"
              f" longest {max(values):.1f} ms")  # fmt: skip
    print(f"partial: {sum(one.partial for one in taken)}; errors of the program: {ledger.errors or 'none'}")
    print(
        "recovered: " + ", ".join(f"{name} {'as captured' if ok else 'NOT as captured'}" for name, ok in done.items())
    )
    if bad or not control or held < len(taken) or ledger.errors or not all(done.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
