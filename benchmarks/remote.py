"""A new machine with only the bucket: `python -m benchmarks.remote [--mb 100 | --state DIR --claude-home DIR]`.

Saves and replicates a state to an S3 server in a process beside this one, makes a new home from the bucket, and reads
one component; then `--checkpoints` more checkpoints, and a new home again. Prints requests, bytes and seconds as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from maos_ckpt.backends.read_cache import CacheSettings
from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.cli import main as cli
from maos_ckpt.errors import SourceError
from maos_ckpt.model import Checkpoint, Trigger
from maos_ckpt.recovery.referrers import work_out
from maos_ckpt.replication.pull import make_home, pull
from maos_ckpt.replication.push import push
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.spec import open_source
from tests.backends.servers import moto_server
from tests.lab.build import build_state
from tests.lab.mutate import mutate
from tests.replication.counting import Traffic, counted
from tests.replication.test_reading import read_component, stored_bytes

_TRIES = 30
#: What an empty database does not take without the agents that it refers to.
NEEDING_AGENTS = ("memory", "queue", "tasks")


def tell(what: str, **facts: object) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps({"what": what, **facts}) + "\n")
    sys.stdout.flush()


def save(repository: Repository, source: Source, trigger: Trigger = Trigger.MANUAL) -> None:
    """One checkpoint; on a busy machine the database may take several tries to be copied in its time."""
    with repository.lease("save"):
        for left in reversed(range(_TRIES)):
            try:
                save_checkpoint(repository, source, SaveRequest(trigger), lambda _: None, SYSTEM)
                return
            except SourceError:
                if not left:
                    raise


def sent(traffic: Traffic, started_s: float) -> dict[str, object]:
    """Requests, bytes and seconds since."""
    took_s = round(time.monotonic() - started_s, 2)
    return {"requests": traffic.total, "bytes": dict(traffic.bytes), "seconds": took_s}


def new_home(path: Path, settings: RemoteSettings) -> Repository:
    """Everything but payloads from the bucket, counted."""
    started_s = time.monotonic()
    with counted() as traffic:
        home = make_home(path, settings, SYSTEM)
        number = pull(home)
    tell("new home", checkpoints=number, **sent(traffic, started_s))
    return home


def referring(repository: Repository, source: Source, lease: RemoteLease) -> Checkpoint:
    """A checkpoint that knows which records refer to an agent, as an engine's idle time makes one; sent."""
    started_s = time.monotonic()
    with repository.lease("references"):
        work_out(repository)
    worked_out_s = round(time.monotonic() - started_s, 2)
    save(repository, source)
    push(repository, lease)
    found = repository.checkpoints()[0]
    number = found.referrers.tree.records if found.referrers else 0
    tell("references", records=number, seconds=worked_out_s, added=found.stored_bytes)
    return found


def restored(folder: Path, settings: RemoteSettings, component: str, state: Path, claude: Path, stored: int) -> None:
    """`restore --component` on a machine that has nothing but the bucket, its database gone; counted."""
    shutil.rmtree(state)
    state.mkdir()
    shutil.rmtree(claude, ignore_errors=True)
    words = ["--component", component, *(["--component", "agents"] if component in NEEDING_AGENTS else [])]
    restore(folder / f"machine-{component}", settings, words, claude, stored)


def one_agent(folder: Path, settings: RemoteSettings, state: Path, claude: Path, stored: int) -> None:
    """`restore --agent` on a machine that has the bucket and a live database that lost this agent; counted."""
    with contextlib.closing(sqlite3.connect(state / "maos.db")) as connection, connection:
        by_messages = "SELECT from_agent FROM messages GROUP BY 1 ORDER BY count(*), 1"
        agents = [row[0] for row in connection.execute(by_messages)]
        agent = agents[len(agents) // 2]
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("DELETE FROM agents WHERE id=?", (agent,))
        connection.execute("DELETE FROM sessions WHERE agent_id=?", (agent,))
        connection.execute("DELETE FROM messages WHERE from_agent=? OR to_agent=?", (agent, agent))
        connection.execute("DELETE FROM tasks WHERE id=? OR assigned_agents LIKE ?", (f"task-{agent}", f"%{agent}%"))
    restore(folder / "machine-agent", settings, ["--agent", agent], claude, stored)


def restore(machine: Path, settings: RemoteSettings, chosen: list[str], claude: Path, stored: int) -> None:
    """A `restore` with a state folder of its own; `stored` is what its share is reckoned of."""
    s3 = settings.s3
    os.environ |= {
        "AWS_ACCESS_KEY_ID": s3.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3.secret_access_key,
        "XDG_STATE_HOME": str(machine),
    }
    words = [
        "--repo",
        f"s3://{s3.bucket}/{s3.prefix}",
        "--s3-endpoint",
        str(s3.endpoint_url),
        "--claude-home",
        str(claude),
    ]
    words += ["--json", "restore", "latest", *chosen, "--yes"]
    started_s = time.monotonic()
    answer = io.StringIO()
    with counted() as traffic, contextlib.redirect_stdout(answer):
        code = cli.main(words, lambda _: 0)
    done = json.loads(answer.getvalue() or "{}")
    if not done:
        raise SystemExit(code)
    share = round(traffic.bytes["packs"] / stored, 3)
    facts = {"exit_code": code, "verified": done["verified"], "records": done["plan"]["summary"]}
    tell("restore", chosen=chosen, stored=stored, share=share, **facts, **sent(traffic, started_s))


def arguments_given() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=100)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--claude-home", type=Path)
    parser.add_argument("--changes", type=int, default=3)
    parser.add_argument("--checkpoints", type=int, default=0)
    parser.add_argument("--restore", action="store_true", help="restore each component on a machine of its own")
    parser.add_argument("--agent", action="store_true", help="restore one agent into a database that lost it")
    return parser.parse_args()


def main() -> None:
    """Measure."""
    arguments = arguments_given()
    folder = Path(tempfile.mkdtemp())
    state, claude = folder / "maos", folder / "claude"
    if arguments.state:
        shutil.copytree(arguments.state, state)
        shutil.copytree(arguments.claude_home, claude)
    else:
        size = arguments.mb * 1_000_000
        build_state(state, claude, size, seed=1, transcript_bytes=size // 10)
    source = open_source(f"maos:{state}", claude_home=claude, seams=SYSTEM)
    with moto_server(folder / "moto") as server:
        settings = RemoteSettings(server.settings("bench/one"), CacheSettings(512 << 20, 3600))
        first = Repository.open_or_create(folder / "first", source.spec, SYSTEM, remote=settings)
        lease = RemoteLease(first.remote_copy, str(first.path), SYSTEM)
        save(first, source)
        for seed in range(arguments.changes):
            mutate(state, 0.01, seed)
            save(first, source)
        started_s = time.monotonic()
        done = push(first, lease)
        tell("push", bytes=done.bytes, seconds=round(time.monotonic() - started_s, 2))
        if arguments.agent:
            referring(first, source, lease)
            one_agent(folder, settings, state, claude, sum(first.packs().values()))
            shutil.rmtree(folder)
            return
        latest = first.checkpoints()[0]
        home = new_home(folder / "second", settings)
        for component in sorted({one.component for one in latest.collections if one.bytes}):
            stored = stored_bytes(first, latest, component)
            started_s = time.monotonic()
            with counted() as traffic:
                read_component(home, latest, component)
            share = round(traffic.bytes["packs"] / stored, 3)
            tell("component", component=component, stored=stored, share=share, **sent(traffic, started_s))
        home.close()
        if arguments.restore:
            for component in sorted({one.component for one in latest.collections if one.bytes}):
                restored(folder, settings, component, state, claude, stored_bytes(first, latest, component))
        for number in range(arguments.checkpoints):
            save(first, source)
            if number % 500 == 499:
                push(first, lease)
        if arguments.checkpoints:
            push(first, lease)
            new_home(folder / "third", settings)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
