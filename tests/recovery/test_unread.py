"""Files that a checkpoint could not read: the save goes on and names them, and no recovery takes them away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maos_ckpt.environment import child_environment
from maos_ckpt.model import Selection
from tests.cli.conftest import _obey_file_modes
from tests.recovery.conftest import Site, kinds

ROOT = Path(__file__).parents[2]


def obeying(site: Site, *arguments: str) -> Any:
    """A command of a user whom file modes bind, also where the tests run as root."""
    workspace = site.workspace
    options = ["--source", workspace.source, "--repo", str(workspace.repository), "--json"]
    options += ["--claude-home", str(workspace.claude_home)]
    done = subprocess.run(
        [sys.executable, "-m", "maos_ckpt_tui", *arguments, *options],
        cwd=ROOT,
        env=child_environment() | {"HOME": str(site.folder)},
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=_obey_file_modes,
    )
    assert done.returncode in (0, 8), done.stderr
    return json.loads(done.stdout)


def test_a_transcript_that_may_not_be_read_is_named_and_the_rest_is_saved(site: Site) -> None:
    path = site.transcript("secret", "one", "two")
    other = site.transcript("open", "three")
    path.chmod(0)
    notes = obeying(site, "save")["checkpoint"]["capture"]["notes"]
    assert len(notes) == 1
    assert "secret.jsonl" in notes[0]
    assert "Permission denied" in notes[0]
    # It is said as long as it is so, though nothing changes.
    assert "secret.jsonl" in obeying(site, "save")["checkpoint"]["capture"]["notes"][0]
    assert "secret.jsonl" in obeying(site, "show", "latest")["checkpoint"]["capture"]["notes"][0]
    path.chmod(0o600)
    other.write_text("changed\n")
    done = site.recover("latest")
    assert (done.applied, done.verified, done.partial) == (True, True, True)
    assert path.read_text() == "one\ntwo\n"
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert other.read_text() == "three\n"
    (finding,) = (one for one in done.plan.findings if one.kind == "unread")
    assert finding.affected[0].endswith("/secret.jsonl")
    assert obeying(site, "save")["checkpoint"]["capture"]["notes"] == []
    path.write_text("other\n")
    assert site.recover("latest").verified
    assert path.read_text() == "one\ntwo\n"


def test_the_lines_known_before_stay_in_the_checkpoint_and_come_back_where_the_file_is_lost(site: Site) -> None:
    path = site.transcript("grown", "one", "two")
    site.save()
    with path.open("a") as file:
        file.write("three\n")
    path.chmod(0)
    (note,) = obeying(site, "save")["checkpoint"]["capture"]["notes"]
    assert "known before are kept" in note
    path.chmod(0o600)
    with path.open("a") as file:
        file.write("four\n")
    for exact in (Selection(), Selection(components=("memory",)), Selection(components=("memory",), exact=True)):
        assert site.recover("latest", exact).plan.summary.total == 0
        assert path.read_text() == "one\ntwo\nthree\nfour\n"
    path.unlink()
    done = site.recover("latest")
    assert (done.applied, done.verified, done.partial) == (True, True, True)
    assert path.read_text() == "one\ntwo\n"


def test_what_a_recovery_cannot_read_live_it_does_not_remove(site: Site) -> None:
    site.save()
    path = site.transcript("later", "one")
    path.chmod(0)
    done = obeying(site, "restore", "latest", "--yes")
    assert any("later.jsonl was left alone" in note for note in done["notes"])
    assert done["verified"] is False
    path.chmod(0o600)
    assert path.read_text() == "one\n"
    # Nor does taking it back.
    obeying(site, "undo", "--yes")
    assert path.read_text() == "one\n"


@pytest.mark.parametrize("name", [".maos/config.yaml", ".claude/agents/reviewer.md"])
def test_a_configuration_file_that_may_not_be_read_is_named_and_left_alone(site: Site, name: str) -> None:
    path = site.layout.directory / name
    path.parent.mkdir(parents=True)
    path.write_text("secret: 1\n")
    path.chmod(0)
    (note,) = obeying(site, "save")["checkpoint"]["capture"]["notes"]
    assert note.startswith(name)
    path.chmod(0o600)
    path.write_text("secret: 2\n")
    site.run("DELETE FROM agents")
    done = site.recover("latest")
    assert (done.applied, done.verified, done.partial) == (True, True, True)
    assert "unread" in kinds(done.plan.findings)
    assert path.read_text() == "secret: 2\n"
    path.unlink()
    assert site.recover("latest").partial
    assert not path.exists()


def test_transcripts_come_back_with_their_modes(site: Site) -> None:
    path = site.transcript("one", "{}")
    path.chmod(0o640)
    site.save()
    path.unlink()
    site.recover()
    assert os.stat(path).st_mode & 0o777 == 0o640
