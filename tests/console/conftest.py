"""Every console test runs in a scrubbed environment: equal pictures everywhere, no secret in a snapshot report."""

from __future__ import annotations

import asyncio
import inspect
import os
from pathlib import Path

import pytest

#: `snapshot_report.html` holds the whole environment; only what tests need survives.
_KEPT = {"PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "PYTEST_CURRENT_TEST"}


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A console exports into its working directory, which is not to be the project's.
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name not in _KEPT and not name.startswith("TEXTUAL_SNAPSHOT"):
            monkeypatch.delenv(name)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs tests that are coroutines; the console is all that needs it, so no plugin is asked for it."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**wanted))
    return True
