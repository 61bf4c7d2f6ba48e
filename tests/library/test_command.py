"""Providers on the command line: `--source provider:MODULE:ATTR`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maos_ckpt.environment import child_environment
from tests.lab.build import build_state

APP = '''
import json, pathlib
pathlib.Path("imported").touch()

class Kept:
    """State in a file of its own form."""
    def __init__(self, name):
        self.path = pathlib.Path(name)
    def capture(self):
        return json.loads(self.path.read_text()).items()
    def restore(self, items):
        self.path.write_text(json.dumps(items))

managers = {"agents": Kept("agents.json"), "queue": Kept("queue.json")}
single = Kept("agents.json")
wrong = 7
'''


class App:
    """A program's module beside a MAOS."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "my_app.py").write_text(APP)
        self.write("agents.json", a=1, b=[1])
        self.write("queue.json", q=1)

    def write(self, name: str, **items: object) -> None:
        (self.directory / name).write_text(json.dumps(items))

    def read(self, name: str) -> Any:
        return json.loads((self.directory / name).read_text())

    def run(self, *arguments: str) -> tuple[int, Any]:
        env = child_environment()
        env["PYTHONPATH"] += f"{os.pathsep}{self.directory}"
        env["HOME"] = env["XDG_CONFIG_HOME"] = env["XDG_STATE_HOME"] = str(self.directory.parent)
        command = [sys.executable, "-m", "maos_ckpt_tui", "--json", *arguments]
        found = subprocess.run(command, cwd=self.directory, env=env, capture_output=True, text=True, timeout=60)
        text = found.stdout if found.returncode == 0 else found.stderr
        return found.returncode, json.loads(text) if text.startswith("{") else text

    @property
    def imported(self) -> bool:
        """Whether the module was imported since it was asked last."""
        mark = self.directory / "imported"
        there = mark.exists()
        mark.unlink(missing_ok=True)
        return there


@pytest.fixture
def app(tmp_path: Path) -> App:
    directory = tmp_path / "team"
    build_state(directory, tmp_path / ".claude", 50_000, seed=1, transcript_bytes=10_000)
    return App(directory)


SOURCES = ("--source", "maos:.", "--source", "provider:my_app:managers")


def test_a_named_provider_is_saved_and_recovered_with_a_maos(app: App) -> None:
    code, saved = app.run(*SOURCES, "save")
    assert code == 0, saved
    assert app.imported
    one = saved["checkpoint"]
    assert one["source"] == f"maos:{app.directory} + provider:my_app:managers"
    assert (one["capture"]["missing"], one["capture"]["held"]) == ([], False)
    app.write("queue.json", q=2, r=3)
    (app.directory / "agents.json").unlink()
    # Without the command's naming it, nothing imports what a repository names, and what is there is the MAOS.
    code, bare = app.run("save")
    assert (code, app.imported) == (0, False)
    assert bare["checkpoint"]["source"] == f"maos:{app.directory}"
    code, partial = app.run(*SOURCES, "save")
    assert code == 0
    assert [gone["component"] for gone in partial["checkpoint"]["capture"]["missing"]] == ["agents"]
    code, status = app.run("status")
    assert status["last_success"]["missing"] == ["agents/provider.my_app.managers"]
    code, listed = app.run("list")
    assert [len(each["capture"]["missing"]) for each in listed["checkpoints"]] == [1, 0, 0]
    app.write("agents.json")
    code, result = app.run(*SOURCES, "restore", one["id"], "--component", "queue", "--exact", "--yes")
    assert code == 0, result
    assert (app.read("queue.json"), app.read("agents.json")) == ({"q": 1}, {})
    code, result = app.run(*SOURCES, "restore", one["id"], "--yes")
    assert code == 0, result
    assert app.read("agents.json") == {"a": 1, "b": [1]}


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("provider:my_app:nothing", 6, "AttributeError"),
        ("provider:no_such_module:x", 6, "ModuleNotFoundError"),
        ("provider:my_app:wrong", 2, "cannot be captured"),
        ("provider:../x:y", 2, "provider:MODULE:ATTR"),
    ],
)
def test_what_cannot_be_loaded_is_told_and_nothing_is_saved(app: App, name: str, code: int, said: str) -> None:
    found, error = app.run("--source", "maos:.", "--source", name, "save")
    assert found == code
    assert said in json.dumps(error)
    assert list(app.directory.glob(".maos-ckpt/manifests/*")) == []


def test_a_repository_of_objects_alone_never_leads_to_an_import(app: App) -> None:
    repository = str(app.directory.parent / "objects")
    code, saved = app.run("--repo", repository, "--source", "provider:my_app:single", "save")
    assert (code, app.imported) == (0, True)
    assert [each["name"] for each in saved["checkpoint"]["components"]] == ["system"]
    empty = App(app.directory.parent)
    empty.directory.joinpath("my_app.py").write_text("raise SystemExit('imported')")
    for arguments, wanted in ((("show", "latest"), 0), (("save",), 6)):
        assert empty.run("--repo", repository, *arguments)[0] == wanted, arguments
