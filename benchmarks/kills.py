"""Commands killed at random moments: `python -m benchmarks.kills [--kills 200] [--recoveries]`.

Each round starts a save, a prune or a restore on a MAOS and kills it, with its children, after a random time. Then: the
database must equal its state before or after, never between; the next command must work; and at the end every committed
checkpoint must verify in full. With `--remote` there is a remote copy (moto's server), brought up to date after every
round, and at the end another machine that has nothing but the copy must verify in full, too.

With `--recoveries` all kills meet a restore or an undo, spread evenly from its start to its end, files and verification
behind the commit included; tables and transcripts must then be exactly those before it, or exactly those after it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.command import Commands
from maos_ckpt.config import load
from maos_ckpt.operations.tiers import replicate_now
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.backends.servers import moto_server
from tests.lab.build import build_state
from tests.lab.mutate import mutate
from tests.lab.values import dump_exact

#: Before this the interpreter is starting.
START_S = 0.15


def content(state: Path, home: Path) -> tuple[object, object]:
    """Tables and transcripts, exactly."""
    dump = dump_exact(state / "maos.db")
    dump.pop("sqlite_master")
    return dump, {str(path): path.read_bytes() for path in sorted(home.rglob("*.jsonl"))}


def kill_after(commands: Commands, delay_s: float, *arguments: str) -> bool:
    """Run a command and kill it after a while; whether it was still running."""
    command = [sys.executable, "-m", "maos_ckpt_tui", *arguments, "--source", commands.source]
    command += ["--repo", str(commands.repository), "--claude-home", str(commands.claude_home), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(delay_s)
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


@contextlib.contextmanager
def remote_copy(log: Path) -> Iterator[None]:
    """A bucket that all commands know from their environment."""
    with moto_server(log) as server:
        values = {"BUCKET": server.bucket, "ENDPOINT_URL": server.endpoint, "REGION": "us-east-1"}
        values |= {"ACCESS_KEY_ID": server.access_key, "SECRET_ACCESS_KEY": server.secret_key}
        os.environ |= {f"MAOS_CKPT_STORAGE_S3_{name}": value for name, value in values.items()}
        yield


def workspace_of(commands: Commands) -> Workspace:
    """The commands' repository, in this process."""
    config = load(cwd=commands.repository.parent).config
    return Workspace(commands.repository, commands.source, commands.claude_home, config, SYSTEM)


def sound(commands: Commands, where: str) -> bool:
    """Whether every checkpoint verifies in full."""
    found = commands.run("verify", "--all", "--level", "full").result
    print(f"every checkpoint verifies in full {where}: {found['ok']} ({found['checked']['objects']} objects)")
    return bool(found["ok"])


def kill_recoveries(
    commands: Commands, state: Path, first: str, kills: int, rng: random.Random, outcomes: dict[str, int]
) -> int:
    """Kill restores and undos; how many rounds it took."""
    home, wanted = commands.claude_home, content(state, commands.claude_home)
    spoil(state, home, 0, rng)
    longest_s = commands.run("restore", first, "--yes").wall_s
    done = rounds = 0
    while done < kills:
        rounds += 1
        spoil(state, home, rounds, rng)
        spoilt = content(state, home)
        what = rng.choice(["restore", "undo"])
        if what == "undo":
            longest_s = commands.run("restore", first, "--yes").wall_s
        before, after = (spoilt, wanted) if what == "restore" else (wanted, spoilt)
        delay_s = rng.uniform(START_S, longest_s)
        arguments = ["restore", first, "--yes"] if what == "restore" else ["undo", "--yes"]
        done += kill_after(commands, delay_s, *arguments)
        settled = commands.run("save")
        now = content(state, home)
        kind = "as before" if now == before else "as after" if now == after else "BETWEEN"
        outcomes[f"{what} {kind}"] = outcomes.get(f"{what} {kind}", 0) + 1
        if kind == "BETWEEN" or not settled.result["checkpoint"]["id"]:
            raise SystemExit(f"round {rounds}: {what}, killed after {delay_s:.3f} s, left the state between")
        if now != wanted:
            commands.run("restore", first, "--yes")
    return rounds


def kill_any(
    commands: Commands, state: Path, first: str, kills: int, rng: random.Random, outcomes: dict[str, int]
) -> int:
    """Kill saves, prunes and restores; how many rounds it took."""
    home = commands.claude_home
    arguments_of = {"save": ["save"], "prune": ["prune"], "restore": ["restore", first, "--yes"]}
    longest_s: dict[str, float] = {}
    done = rounds = 0
    while done < kills:
        rounds += 1
        what = rng.choice(["save", "prune", "restore", "restore"])
        spoil(state, home, rounds, rng)
        before = content(state, home)
        limit_s = longest_s.get(what, 1.5)
        if not kill_after(commands, rng.uniform(0.05, limit_s), *arguments_of[what]):
            longest_s[what] = max(limit_s * 0.8, 0.3)
            outcomes[f"{what} ended first"] = outcomes.get(f"{what} ended first", 0) + 1
            continue
        done += 1
        settled = commands.run("save")
        after = content(state, home)
        kind = "as before" if after == before else "other"
        if kind == "other":
            left = commands.run("diff", first, "live", "--stat").result["summary"]
            kind = "as after" if what == "restore" and not sum(left.values()) else "BETWEEN"
        if remote_is_there():
            replicate_now(workspace_of(commands))
        outcomes[f"{what} {kind}"] = outcomes.get(f"{what} {kind}", 0) + 1
        if kind == "BETWEEN" or not settled.result["checkpoint"]["id"]:
            raise SystemExit(f"round {rounds}: {what} left the state between: {left}")
    return rounds


def remote_is_there() -> bool:
    """Whether the commands know a bucket."""
    return "MAOS_CKPT_STORAGE_S3_BUCKET" in os.environ


def spoil(state: Path, home: Path, seed: int, rng: random.Random) -> None:
    """Change some records and add to some transcripts."""
    mutate(state, 0.02, seed)
    for path in rng.choices(sorted(home.rglob("*.jsonl")), k=2):
        with path.open("ab") as file:
            file.write(b'{"type": "user", "message": {"content": "%d"}}\n' % seed)


def main() -> None:
    """Kill and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--mb", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recoveries", action="store_true", help="only restores and undos, over their whole length")
    parser.add_argument("--remote", action="store_true", help="beside a remote copy")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    outcomes: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if arguments.remote:
            stack.enter_context(remote_copy(Path(folder, "server.log")))
        home = Path(folder, "claude")
        size = arguments.mb * 1_000_000
        state = build_state(Path(folder, "maos"), home, size, seed=1, transcript_bytes=size)
        commands = Commands(f"maos:{state.directory}", Path(folder, "repository"), home)
        commands.run("save")
        first = commands.run("pin", "latest").result["checkpoint"]["id"]
        kill = kill_recoveries if arguments.recoveries else kill_any
        rounds = kill(commands, state.directory, first, arguments.kills, rng, outcomes)
        print(f"{arguments.kills} kills in {rounds} rounds, seed {arguments.seed}: {dict(sorted(outcomes.items()))}")
        here = sound(commands, "here")
        # A machine that has nothing but the remote copy.
        elsewhere = Commands(commands.source, Path(folder, "elsewhere"), home)
        if not here or (arguments.remote and not sound(elsewhere, "from the remote copy")):
            raise SystemExit(1)


if __name__ == "__main__":
    started_s = time.monotonic()
    main()
    print(f"{time.monotonic() - started_s:.0f} s")
