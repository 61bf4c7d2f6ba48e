"""Saves and recoveries of a MAOS that keeps writing: `python -m benchmarks.live [--saves 100] [--recoveries 50]`.

MAOS writes 50 times a second from 8 coroutines through its own classes, and its transcripts grow. Reports its errors
(there must be none), its longest stall, and how long commands and locks took.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.command import Commands
from tests.lab.writers import LiveMaos


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=100)
    parser.add_argument("--recoveries", type=int, default=50)
    parser.add_argument("--rate", type=float, default=50.0, help="writes per second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory, home = Path(folder, "maos"), Path(folder, "claude")
        directory.mkdir()
        commands = Commands(f"maos:{directory}", Path(folder, "repository"), home)
        save_s, lock_s, recovery_s, stall_s, verified = [], [], [], [], 0
        with LiveMaos(directory, home, rate_per_s=arguments.rate, concurrency=8) as maos:
            commands.run("save")
            for number in range(arguments.saves):
                saved = commands.run("save")
                save_s.append(saved.wall_s)
                lock_s.append(saved.result["checkpoint"]["capture"]["lock_s"])
                if number * arguments.recoveries // arguments.saves > len(recovery_s) - 1:
                    done = commands.run("restore", "latest~1", "--yes", "--reason", "benchmark")
                    recovery_s.append(done.wall_s)
                    stall_s.append(done.result.get("stall_s", 0.0))
                    verified += done.result["verified"]
            report = maos.stop()
        sound = commands.run("verify", "--all", "--level", "full").result["ok"]
    print(f"{len(save_s)} saves: median {statistics.median(save_s):.2f} s, longest lock {max(lock_s):.3f} s")
    print(f"{len(recovery_s)} recoveries: median {statistics.median(recovery_s):.2f} s, {verified} verified")
    print(f"longest stop {max(stall_s):.3f} s")
    errors, stall_max_s = report["errors"], report["stall_max_s"]
    print(f"MAOS: {report['writes']} writes, {len(errors)} errors, longest stall {stall_max_s:.3f} s")
    print(f"every checkpoint verifies in full: {sound}")
    if errors or not sound or verified != len(recovery_s):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
