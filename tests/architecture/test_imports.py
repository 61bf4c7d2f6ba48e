"""Who imports whom, and what is loaded when: proven on the real modules in fresh processes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maos_ckpt.environment import child_environment

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "engine" / "maos_ckpt"
HEAVY = {"textual", "rich", "boto3", "botocore", "diskcache", "zstandard", "msgspec", "sqlite3", "humanize", "asyncio"}
SCREEN = {"textual", "rich"}

LOADED = """
import sys
sys.argv = ["maos-ckpt", *{arguments!r}]
before = set(sys.modules)
{statement}
print("\\n" + " ".join({{name.partition(".")[0] for name in set(sys.modules) - before}}))
"""


def loaded(statement: str, *arguments: str) -> set[str]:
    """Top-level names of the modules that a statement loads in a fresh interpreter."""
    script = LOADED.format(arguments=list(arguments), statement=statement)
    environment = child_environment()
    environment["PYTHONPATH"] += f":{ROOT}"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True, timeout=60
    )
    return set(result.stdout.splitlines()[-1].split())


RUN = "from maos_ckpt_tui.__main__ import main\nmain()"


def test_importing_the_package_loads_nothing_beyond_the_standard_library() -> None:
    assert not loaded("import maos_ckpt") & HEAVY


@pytest.mark.parametrize("name", ["maos_ckpt.model", "maos_ckpt.errors", "maos_ckpt.events", "maos_ckpt.client"])
def test_the_vocabulary_loads_nothing_heavy(name: str) -> None:
    assert not loaded(f"import {name}") & HEAVY


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(option: str) -> None:
    found = loaded(RUN, option)
    assert "maos_ckpt" in found
    assert not found & HEAVY


def test_a_command_without_a_screen_loads_no_screen(tmp_path: Path) -> None:
    found = loaded(RUN, "--repo", str(tmp_path), "--source", f"maos:{tmp_path}", "list")
    assert "msgspec" in found
    assert not found & SCREEN


def test_importing_the_console_package_loads_no_screen() -> None:
    assert not loaded("import maos_ckpt_tui, maos_ckpt_tui.__main__") & SCREEN


def test_the_import_contracts_hold() -> None:
    environment = child_environment()
    environment["PYTHONPATH"] += f":{ROOT}"
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


def trees(root: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(root.rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def uses(root: Path, names: set[str], allowed: set[str]) -> list[str]:
    """Places below `root` that name one of `names`, apart from the files allowed."""
    return [
        f"{path}:{node.lineno} {dotted(node)}"
        for path, tree in trees(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and dotted(node) in names and path.name not in allowed
    ]


def test_the_process_environment_is_read_in_one_place() -> None:
    allowed = {"environment.py"}
    assert uses(ENGINE, {"os.environ", "os.getenv", "os.environb"}, allowed) == []


def test_time_randomness_and_signals_go_through_the_seams() -> None:
    names = {"time.time", "time.time_ns", "time.monotonic", "time.sleep", "os.urandom", "os.kill", "os.killpg"}
    # The guardian of stopped processes is a process of its own that nothing is injected into.
    found = uses(ENGINE, names, {"seams.py", "processes.py", "guardian.py"})
    # The demo is no part of the engine: it plays the system that is protected.
    assert [place for place in found if "/demo/" not in place] == []


def test_nobody_imports_the_source_folder() -> None:
    for root in (ENGINE, ROOT / "maos_ckpt_tui", ROOT / "tests"):
        for path, tree in trees(root):
            for node in ast.walk(tree):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module or ""]
                assert not any(name.partition(".")[0] == "engine" for name in names), f"{path}: {names}"


def test_no_file_of_the_engine_is_found_by_a_relative_import() -> None:
    for path, tree in trees(ENGINE):
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}:{node.lineno}"


def test_no_exception_is_swallowed_without_a_word() -> None:
    for root in (ENGINE, ROOT / "maos_ckpt_tui"):
        for path, tree in trees(root):
            for node in ast.walk(tree):
                if isinstance(node, ast.ExceptHandler):
                    broad = node.type is None or dotted(node.type) in ("Exception", "BaseException")
                    empty = all(isinstance(one, ast.Pass) for one in node.body)
                    assert not (broad and empty), f"{path}:{node.lineno}"
