"""S3 servers for these tests, each started once.

`MAOS_CKPT_TEST_S3_ENDPOINT`, `..._ACCESS_KEY` and `..._SECRET_KEY` name a second server that the tests run against as
well; `eval "$(tests/backends/second_s3.sh start)"` starts OpenStack Swift and sets them. Without them its tests are
skipped, which pytest's summary says.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backends.servers import VARIABLES, Server, moto_server, second_server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with moto_server(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


@pytest.fixture(scope="session")
def second() -> Server:
    server = second_server()
    if server is None:
        pytest.skip(f"no second S3 server: {VARIABLES[0]} is not set (tests/backends/second_s3.sh starts one)")
    return server
