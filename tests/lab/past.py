"""Gives a repository a long past: so many checkpoints of an unchanged state, as saves would have committed them.

`python -m tests.lab.past DIR --checkpoints 100000` builds a small state in `DIR/maos` and its repository beside it. The
manifests are encoded by the product and are what a save of an unchanged state writes; only the fsync of each is left
out, since nobody else has the repository yet.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from maos_ckpt.config import Config
from maos_ckpt.model import Trigger
from maos_ckpt.operations.checkpoints import save
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.repository.manifests import (
    MANIFEST_BYTES_MAX,
    Manifest,
    decode_manifest,
    encode_manifest,
    manifest_name,
)
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from tests.lab.build import BuiltState, build_state

INTERVAL_MS = 30_000
STATE_BYTES = 300_000
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def workspace_of(directory: Path, state: BuiltState | None = None) -> Workspace:
    """Where state and repository of `directory` are; no schedule, nothing removed."""
    config = msgspec.structs.replace(Config(), interval_seconds=3600.0, max_checkpoints=0)
    home = directory / "claude" if state is None else state.claude_home
    return Workspace(directory / "repository", f"maos:{directory / 'maos'}", home, config, SYSTEM)


def build_past(directory: Path, number: int, *, seed: int = 1) -> Workspace:
    """A state, its first checkpoint, and `number` in all, half a minute apart, the newest of now."""
    state = build_state(directory / "maos", directory / "claude", STATE_BYTES, seed=seed)
    workspace = workspace_of(directory, state)
    save(workspace, Trigger.MANUAL, "the first of many", (), lambda _: None)
    repository = Repository.open(workspace.repository, SYSTEM)
    try:
        extend(repository, number)
    finally:
        repository.close()
    return workspace


def extend(repository: Repository, number: int) -> None:
    """As many checkpoints as make `number`; the newest there was becomes that much older."""
    newest = max(repository.backend.list("manifests"))
    manifest = decode_manifest(repository.backend.read(newest, MANIFEST_BYTES_MAX), newest, repository.sealer)
    for one in _following(manifest, number - manifest.seq):
        path = repository.path / manifest_name(one.seq)
        path.write_bytes(encode_manifest(one, repository.sealer))
        path.chmod(0o600)


def _following(last: Manifest, number: int) -> Iterator[Manifest]:
    chance = random.Random(number)
    last = msgspec.structs.replace(last, created_at_ms=last.created_at_ms - number * INTERVAL_MS)
    yield last
    for step in range(1, number + 1):
        at_ms = last.created_at_ms + INTERVAL_MS
        last = msgspec.structs.replace(
            last,
            id=f"cp_{_digits(at_ms, 9)}{_digits(chance.getrandbits(30), 6)}",
            seq=last.seq + 1,
            parent=last.id,
            created_at_ms=at_ms,
            description="" if step % 40 else f"number {step}",
            trigger="schedule" if step % 40 else "manual",
            unchanged=True,
            pack=b"",
            stored_bytes=0,
        )
        yield last


def _digits(number: int, length: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (length - 1), -1, -5))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--checkpoints", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began_s = time.perf_counter()
    workspace = build_past(arguments.directory, arguments.checkpoints, seed=arguments.seed)
    took_s = round(time.perf_counter() - began_s, 1)
    print(json.dumps({"repository": str(workspace.repository), "duration_s": took_s}))


if __name__ == "__main__":
    main()
