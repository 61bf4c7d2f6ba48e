"""The examples of engine/README.md, each run as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from maos_ckpt.environment import child_environment
from tests.lab.build import build_state

README = Path(__file__).parents[2] / "engine" / "README.md"
#: (section, program), of every block that is a whole program of the library.
EXAMPLES = [
    (section.partition("\n")[0], block)
    for section in README.read_text(encoding="utf-8").split("\n## ")[1:]
    for block in re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    if "asyncio.run(main())" in block
]
#: What a section's example prints, among other things.
SAID = {
    "Quick start": r"cp_\w+ \d+ \('agents'",
    "Advanced configuration": r"^held still for \d",
    "Full, partial and dry-run recovery": r"agents ada modified \['value\.status'\]\nqueue m2 removed",
    "Events": r"(?s)(?=.*created cp_)(?=.*followed cp_)",
    "Metrics and trends": r"\d+ 1\.0 [\d.]+ [\d.]+\n\[[\d.]+\]\n\[1\.0\]",
}


def test_every_section_has_its_example() -> None:
    assert set(SAID) <= {section for section, _ in EXAMPLES}


@pytest.mark.parametrize(("section", "program"), [one for one in EXAMPLES if one[0] in SAID], ids=lambda one: one[:12])
def test_an_example_runs_as_it_stands(section: str, program: str, tmp_path: Path) -> None:
    directory = tmp_path / "team"
    directory.mkdir()
    if "quick_start()" in program:
        build_state(directory, tmp_path / ".claude", 20_000, seed=1, transcript_bytes=5_000)
    (directory / "example.py").write_text(program)
    env = {**child_environment(), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(SAID[section], done.stdout, re.MULTILINE), done.stdout
