"""The project's outer shape: file sizes, what the wheel holds, names, and the machine it was written on."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import maos_ckpt
from maos_ckpt.cli.options import COMMANDS

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "engine").rglob("*.py"), *(ROOT / "maos_ckpt_tui").rglob("*.py")]
LINES_MAX = 500
LINES_MEDIAN_MAX = 150
#: Commands of the contract that this version has; later ones are not registered rather than refused.
CONTRACT = (
    "save list show diff records history verify restore undo pin unpin tag delete prune export status events doctor "
    "config key token demo rescue ps drill find audit guide metrics alerts"
)


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_files_stay_short() -> None:
    assert [(str(path), lines(path)) for path in SOURCES if lines(path) > LINES_MAX] == []


def test_most_files_are_a_page_or_two() -> None:
    assert statistics.median(map(lines, SOURCES)) < LINES_MEDIAN_MAX


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert maos_ckpt.__version__ == project["version"]
    assert project["scripts"] == {"maos-ckpt": "maos_ckpt_tui.__main__:main"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names inside the wheel that the build backend makes of this tree."""
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (path,) = target.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_brings_exactly_two_top_level_names(wheel: list[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"maos_ckpt", "maos_ckpt_tui"}


def test_the_wheel_holds_every_module_and_the_type_markers(wheel: list[str]) -> None:
    here = {str(path.relative_to(ROOT)).removeprefix("engine/") for path in SOURCES}
    assert here <= set(wheel)
    assert {"maos_ckpt/py.typed", "maos_ckpt_tui/py.typed"} <= set(wheel)


def test_the_commands_are_those_of_the_contract() -> None:
    assert set(COMMANDS) == set(CONTRACT.split())


def test_no_file_names_the_machine_it_was_written_on() -> None:
    pattern = re.compile(r"/(?:work/(?:main|shared)|opt/venv|tmp/lab|root/)")
    suffixes = {".py", ".toml", ".md", ".tcss", ".yaml"}
    places = [ROOT / name for name in ("engine", "maos_ckpt_tui", "tests", "benchmarks")]
    files = [path for place in places for path in place.rglob("*") if path.suffix in suffixes]
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in [*files, *ROOT.glob("*.md"), *ROOT.glob("*.toml")]
        if path.name != Path(__file__).name
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []
