"""The commands around a recovery: before, after, after a failure, and after a kill."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from maos_ckpt.config import Config
from maos_ckpt.config.types import Recovery
from maos_ckpt.drill.checks import run_command
from maos_ckpt.environment import secret_variable
from maos_ckpt.errors import PlanMovedError, SourceError
from maos_ckpt.recovery.quiesce import Hooks, quiesced
from maos_ckpt.recovery.steps import Step
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.commands import run_program
from tests.engine.support import wait_until
from tests.recovery.conftest import Site
from tests.recovery.killed import KillAt, run_killed

NOTE = """
import sqlite3, sys
names = sqlite3.connect("maos.db").execute("SELECT name FROM agents").fetchall()
print(sys.argv[1], names, file=open("log", "a"))
"""


def command(word: str) -> tuple[str, ...]:
    """Notes a word and the agents' names in the working directory of MAOS."""
    return (sys.executable, "-c", NOTE, word)


def noted(site: Site) -> list[str]:
    path = site.layout.directory / "log"
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def hooked(site: Site) -> Site:
    site.save()
    site.run("UPDATE agents SET name = 'Eve' WHERE id = 'a-0000000a'")
    settings = Recovery(quiesce_command=command("quiesce"), resume_command=command("resume"))
    config = msgspec.structs.replace(Config(), recovery=settings)
    site.workspace = replace(site.workspace, config=config)
    return site


BEFORE, AFTER = "quiesce [('Eve',), ('Bob',)]", "resume [('Ada',), ('Bob',)]"
UNCHANGED = "resume [('Eve',), ('Bob',)]"


def test_one_runs_before_and_one_after(hooked: Site) -> None:
    assert hooked.recover().verified
    assert noted(hooked) == [BEFORE, AFTER]
    assert hooked.undo().verified
    assert noted(hooked)[2:] == ["quiesce [('Ada',), ('Bob',)]", UNCHANGED]


def test_the_resume_command_runs_also_where_the_recovery_is_refused(hooked: Site) -> None:
    with pytest.raises(PlanMovedError):
        hooked.recover(digest="0" * 12)
    assert noted(hooked) == [BEFORE, UNCHANGED]


@pytest.mark.parametrize("step", [Step.INTENDED, Step.COMMITTED])
def test_a_killed_recovery_is_followed_by_the_resume_command(hooked: Site, step: Step) -> None:
    assert run_killed(hooked.workspace, "restore", KillAt(step))
    wait_until(lambda: len(noted(hooked)) == 2, "the guardian's resume")
    assert noted(hooked) == [BEFORE, AFTER if step is Step.COMMITTED else UNCHANGED]


def test_a_quiesce_command_that_fails_or_hangs_changes_nothing(tmp_path: Path) -> None:
    log = tmp_path / "resumed"
    resume = (sys.executable, "-c", "open('resumed', 'a').write('x')")
    words = {
        (sys.executable, "-c", "import sys; sys.exit('no \\x1b[31mway')"): "failed (1): no",
        (sys.executable, "-c", "import time; time.sleep(60)"): "took longer than 0.5 s",
        ("./nobody",): "cannot be run: No such file",
    }
    for number, (quiesce, said) in enumerate(words.items(), 1):
        hooks = Hooks(quiesce, resume, quiesce_timeout_s=0.5)
        with pytest.raises(SourceError) as caught, quiesced(hooks, tmp_path, lambda step: None, SYSTEM):
            pytest.fail("the recovery must not begin")
        assert said in caught.value.message
        assert "\x1b" not in caught.value.message
        assert log.read_text() == "x" * number


def test_a_resume_command_that_fails_is_told_and_run_once_more(tmp_path: Path) -> None:
    once = "import os, sys; open('tries', 'a').write('x'); sys.exit(os.path.getsize('tries') < 2)"
    with quiesced(Hooks((), (sys.executable, "-c", once)), tmp_path, lambda step: None, SYSTEM) as still:
        pass
    assert still.notes == ["The resume command failed (1); it is run once more."]
    wait_until(lambda: (tmp_path / "tries").read_text() == "xx", "the second try")


def test_no_program_of_the_operators_sees_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDS_OF_THE_TEAM", "hush")
    assert secret_variable("WORDS_OF_THE_TEAM") == "hush"
    note = (sys.executable, "-c", "import os; open('seen', 'a').write(os.environ.get('WORDS_OF_THE_TEAM', '-'))")
    again = (*note[:2], f"{note[2]}; raise SystemExit(os.path.getsize('seen') < 3)")
    with quiesced(Hooks(note, again), tmp_path, lambda step: None, SYSTEM):
        assert run_command(note, tmp_path, {}).passed
    wait_until(lambda: (tmp_path / "seen").read_text() == "---", "what all of them saw")


def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    child = "import os, time; open('child', 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    for within_s in (0.4, 2.0, 10.0):
        failed, _ = run_program((sys.executable, "-c", parent), tmp_path, within_s, SYSTEM.processes)
        assert failed == f"took longer than {within_s:g} s and was ended"
        if (tmp_path / "child").exists():
            break
    stat = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    wait_until(lambda: not stat.exists() or ") Z " in stat.read_text(), "the child's end")
