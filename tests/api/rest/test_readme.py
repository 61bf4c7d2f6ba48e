"""The examples of engine/README.md about REST, run as they stand there."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from maos_ckpt.api.tokens import Tokens
from maos_ckpt.model.access import Scope
from maos_ckpt.seams import SYSTEM
from tests.api.house import House
from tests.lab.mutate import mutate

README = Path(__file__).parents[3] / "engine" / "README.md"
SECTION = next(one for one in README.read_text(encoding="utf-8").split("\n## ") if one.startswith("REST\n"))


def run(script: str, place: House, directory: Path) -> str:
    """What a script of the section prints; it must not fail."""
    scopes = [Scope(one) for one in re.findall(r"--scope (\w+)", SECTION)]
    token = Tokens(place.workspace.repository, SYSTEM).create("readme", tuple(scopes)).text
    environment = {"PATH": os.environ["PATH"], "TOKEN": token, "API": place.url}
    done = subprocess.run(
        ["sh", "-c", script], cwd=directory, env=environment, capture_output=True, text=True, timeout=120
    )
    # A stream is left after two seconds, and curl says so.
    errors = [line for line in done.stderr.splitlines() if "timed out" not in line]
    assert (done.returncode, errors) == (0, []), script + done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_curl_examples_do_what_they_say(place: House, tmp_path: Path) -> None:
    first, *blocks = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)
    told = ""
    for block in blocks:
        if "/plans" in block:
            # There is something to take back.
            mutate(place.directory, 0.05, seed=5)
        told += run(f"set -eu\n{first}\n{block}", place, tmp_path)
    for said in (
        r'"description":"before the release","tags":\["release"\]',
        r'"total":\d+,"limit":10,"offset":0',
        r'"level":"full","ok":true',
        r'"tags":\["trial"\]',
        r'"deleted":true',
        r'"collection":"agents"',
        r'"after":"live"',
        r'"recommended":',
        r'"dryRun":true',
        r'"applied":true,"verified":true',
        r'"reason":"analyst-3 went mad"',
        r'"state":"running"',
        r'"status":"healthy"',
        r'"successRate":',
        r'"saveTimeTrend":',
        r'"event":"recoveryCompleted"',
        r"retry: 1000",
    ):
        assert re.search(said, told), said
    with tarfile.open(tmp_path / "checkpoint.tar") as archive:
        assert any(name.endswith("/agents/agents.jsonl") for name in archive.getnames())


def test_the_api_answers_inside_the_application_of_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    (tmp_path / "app.py").write_text(program)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with TestClient(runpy.run_path("app.py")["app"]) as client:
        made = client.post("/api/checkpoint/checkpoints", json={"description": "embedded"})
        assert made.status_code == 201
        assert [one["name"] for one in made.json()["components"]] == ["agents"]
        assert client.get("/api/checkpoint/metrics").json()["totalCheckpoints"] >= 1
