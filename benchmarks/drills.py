"""All drills by one command on an encrypted repository with a bucket: `python -m benchmarks.drills [--mb 500]`.

Builds a MAOS of that size, saves it, replicates it to moto's server, and runs `maos-ckpt drill` as an operator would.
Prints a table of recovery times, and checks that nothing live was written. `--keep DIR` leaves the reports there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.command import Commands
from benchmarks.kills import remote_copy, workspace_of
from maos_ckpt.operations.tiers import replicate_now
from tests.lab.build import build_state

_MB = 1 << 20
#: What a drill may write below the repository: its reports, and its line in the journal.
_WRITTEN = ("drills", "journal")
_REPLICATE_S = 600.0


def live(commands: Commands, state: Path, home: Path) -> str:
    """One hash over everything live: state, transcripts, and what the repository stores."""
    found = hashlib.sha256()
    for root in (state, home, commands.repository):
        for path in sorted(one for one in root.rglob("*") if one.is_file()):
            if root != commands.repository or path.relative_to(root).parts[0] not in _WRITTEN:
                with path.open("rb") as file:
                    found.update(f"{path} ".encode() + hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def main() -> None:
    """Build, save, drill."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=500, help="size of the database in MiB")
    parser.add_argument("--transcript-mb", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="copy the reports here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, remote_copy(Path(folder) / "moto.log"):
        state, home, key = Path(folder) / "team", Path(folder) / "home", Path(folder) / "key"
        key.touch(0o600)
        key.write_bytes(os.urandom(64))
        os.environ |= {"MAOS_CKPT_ENCRYPTION_ENABLED": "true", "MAOS_CKPT_ENCRYPTION_KEY": f"file:{key}"}
        build_state(state, home, arguments.mb * _MB, seed=1, transcript_bytes=arguments.transcript_mb * _MB)
        commands = Commands(f"maos:{state}", Path(folder) / "repository", home)
        saved = commands.run("save")
        print(f"save: {saved.wall_s:.1f} s")
        replicate_now(workspace_of(commands), _REPLICATE_S)
        before = live(commands, state, home)
        drilled = commands.run("drill")
        report = drilled.result
        for one in report["scenarios"]:
            rto = "-" if one["rto_s"] is None else f"{one['rto_s']:6.1f} s"
            print(f"{one['name']:<22} {'passed' if one['passed'] else one['why']:<10} {rto}")
        print(f"passed: {report['passed']}, {drilled.wall_s:.1f} s in all, RTO {report['rto_s']:.1f} s")
        print(f"nothing live was written: {live(commands, state, home) == before}")
        print(f"peak memory of the command: {drilled.peak_bytes / _MB:.0f} MB")
        if arguments.keep:
            shutil.copytree(commands.repository / "drills", arguments.keep, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
