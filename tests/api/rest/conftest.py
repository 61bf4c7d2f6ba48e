"""One house for all files of tests, which come one after the other, and clients of its API."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from tests.api.house import House, house, workspace_at


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An engine with two checkpoints (one scheduled), and its API."""
    with house(workspace_at(tmp_path_factory.mktemp("house"), 200_000)) as one:
        yield one


@pytest.fixture
def api(place: House) -> Iterator[httpx2.Client]:
    """A client that may do everything."""
    with place.http() as client:
        yield client
