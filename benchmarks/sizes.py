"""Save, incremental save, diff, verify and restore at several sizes: `python -m benchmarks.sizes [--mb 10 100 500]`.

Prints a Markdown table. Each command is a process of its own, its start included; sizes are those of `maos.db`, with
one part in 25 of transcripts beside it. "scattered" is one record in a hundred, anywhere in each table, so that nearly
half of all leaves are touched; "newest" is the last hundredth of each table, as a MAOS works on what it began lately.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.command import Commands, Measured

MB = 1_000_000


def measure(mb: int, folder: Path) -> list[tuple[str, Measured, str]]:
    """All steps at one size: (name, measurement, remark)."""
    home, directory = folder / "claude", folder / "maos"
    # In a process of its own: a command's peak memory would otherwise count what this process held when it forked.
    sizes = ["--mb", str(mb), "--seed", "1", "--transcript-mb", str(max(mb // 25, 1))]
    lab(str(directory), *sizes, "--claude-home", str(home))
    commands = Commands(f"maos:{directory}", folder / "repository", home)
    steps: list[tuple[str, Measured, str]] = []

    def step(name: str, *arguments: str) -> Measured:
        measured = commands.run(*arguments)
        steps.append((name, measured, remark(measured)))
        return measured

    first = step("first save", "save").result["checkpoint"]
    step("save, nothing changed", "save")
    lab(str(directory), "--mutate", "0.01", "--seed", "2")
    step("save, 1 % changed, scattered", "save")
    step("diff of the two", "diff", first["id"], "latest", "--stat")
    lab(str(directory), "--mutate", "0.01", "--seed", "3")
    step("diff against live", "diff", "latest", "live", "--stat")
    recover = ("--yes", "--reason", "benchmark")
    step("restore, 1 % differ, scattered", "restore", "latest", *recover)
    # As the engine does every 30 seconds: a recovery finds what changed since the last save.
    commands.run("save")
    lab(str(directory), "--mutate", "0.01", "--seed", "4", "--newest")
    step("restore, the newest 1 % differ", "restore", "latest", *recover)
    commands.run("save")
    lab(str(directory), "--mutate", "0.01", "--seed", "5")
    step("restore, 2 % differ, scattered", "restore", first["id"], *recover)
    empty(directory / "maos.db")
    step("restore of everything", "restore", first["id"], *recover)
    step("verify --level full", "verify", "--all", "--level", "full")
    return steps


def lab(*arguments: str) -> None:
    """Build or change a state."""
    subprocess.run([sys.executable, "-m", "tests.lab.build", *arguments], check=True, stdout=subprocess.DEVNULL)


def remark(measured: Measured) -> str:
    """What the command says of itself."""
    result = measured.result
    if "checkpoint" in result:
        one = result["checkpoint"]
        lock_s = one["capture"]["lock_s"]
        return f"{one['stored_bytes']:,} bytes stored of {one['logical_bytes']:,}; locked {lock_s:.3f} s"
    if "verified" in result:
        changes = sum(result["plan"]["summary"].values())
        return f"{changes:,} changes in {result['duration_s']:.2f} s, verified {result['verified']}"
    if "summary" in result:
        return f"{sum(result['summary'].values()):,} changes"
    if "checked" in result:
        return f"{result['checked']['bytes']:,} bytes read, ok {result['ok']}"
    return ""


def empty(database: Path) -> None:
    """Delete every row, as a disaster would."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'")
        for (name,) in tables.fetchall():
            connection.execute(f'DELETE FROM "{name}"')
    connection.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, nargs="+", default=[10, 100, 500])
    parser.add_argument("--folder", type=Path, help="where to build; by default a temporary folder")
    arguments = parser.parse_args()
    print("| size | step | wall s | cpu s | peak MB | |")
    print("|---|---|---:|---:|---:|---|")
    for mb in arguments.mb:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            for name, measured, said in measure(mb, Path(folder)):
                peak_mb = measured.peak_bytes / MB
                print(
                    f"| {mb} MB | {name} | {measured.wall_s:.2f} | {measured.cpu_s:.2f} | {peak_mb:.0f} | {said} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
