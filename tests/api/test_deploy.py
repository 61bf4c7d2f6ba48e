"""The files for running it as a service: systemd takes the unit, and what they name exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from maos_ckpt.api.probe import probe
from maos_ckpt.config import load
from maos_ckpt.config.keys import keys
from maos_ckpt.headless import CLOSE_S
from tests.api.conftest import Served

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "engine" / "deploy"
UNIT = DEPLOY / "maos-ckpt@.service"
INSTRUCTIONS = {
    "FROM", "COPY", "RUN", "USER", "WORKDIR", "VOLUME", "ENV", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD",
}  # fmt: skip


def settings() -> dict[str, list[str]]:
    """The unit's settings, all values of each."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as it would be installed on this machine, for `systemd-analyze`."""
    program = tmp_path / "maos-ckpt"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    target = tmp_path / UNIT.name
    target.write_text(UNIT.read_text().replace("/usr/local/bin/maos-ckpt", str(program)))
    return target


systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")


@systemd
def test_systemd_takes_the_unit_without_a_word(installed: Path) -> None:
    instance = installed.with_name("maos-ckpt@srv-team.service")
    instance.write_text(installed.read_text())
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(instance)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "maos-ckpt" in line]) == (0, [])


@systemd
def test_the_service_is_exposed_to_little(installed: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(installed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


def test_the_unit_fits_the_engine() -> None:
    unit = settings()
    assert unit["Type"] == ["notify"]
    assert float(unit["WatchdogSec"][0]) > 0
    assert float(unit["TimeoutStopSec"][0]) > CLOSE_S, "or a running save would be killed"
    assert unit["KillMode"] == ["mixed"], "or the workers would be told to stop, too"
    assert unit["ExecStart"] == ["/usr/local/bin/maos-ckpt --headless"]
    variables = [one.partition("=")[0] for one in unit["Environment"][0].split()]
    assert {one for one in variables if one.startswith("MAOS_CKPT_")} <= {key.variable for key in keys().values()}


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_container_recipe_names_what_there_is() -> None:
    found = instructions()
    assert {name for name, _ in found} <= INSTRUCTIONS
    assert found[0][0] == "FROM"
    copied = {word for name, rest in found if name == "COPY" for word in rest.split()[:-1]}
    assert [one for one in copied if not (ROOT / one).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    built = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    assert built | set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == copied
    by_name = dict(found)
    assert json.loads(by_name["ENTRYPOINT"]) + json.loads(by_name["CMD"]) == ["maos-ckpt", "--headless"]
    assert by_name["STOPSIGNAL"] == "SIGTERM"
    assert by_name["USER"] != "root"
    variables = dict(one.split("=") for one in by_name["ENV"].split() if one.startswith("MAOS_CKPT_"))
    assert load(cwd=DEPLOY, variables=variables, config_home=DEPLOY).config.log_format == "json"


def test_the_health_check_asks_a_running_engine(served: Served, tmp_path: Path) -> None:
    command = json.loads(dict(instructions())["HEALTHCHECK"].partition("CMD")[2])
    assert command[:3] == ["python", "-m", "maos_ckpt.api.probe"]
    well, said = probe(served.workspace.repository)
    assert well, said
    assert probe(tmp_path) == (False, "no engine listens")
    environment = {"PYTHONPATH": str(ROOT / "engine")}
    done = subprocess.run([sys.executable, *command[1:3], str(tmp_path)], env=environment, check=False)
    assert done.returncode == 1


def test_the_guide_shows_a_configuration_that_is_taken(tmp_path: Path) -> None:
    text = (DEPLOY / "README.md").read_text()
    (tmp_path / "maos-ckpt.toml").write_text("".join(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)))
    config = load(cwd=tmp_path, variables={}, config_home=tmp_path).config
    assert config.server.listen == ("0.0.0.0:8470",)
    for name in re.findall(r"\]\(([^):]+)\)", text):
        assert (DEPLOY / name).exists()
