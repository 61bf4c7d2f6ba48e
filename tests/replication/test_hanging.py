"""A remote side that accepts connections and never answers keeps nobody from a checkpoint."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from maos_ckpt.backends.patience import Patience
from maos_ckpt.backends.read_cache import CacheSettings
from maos_ckpt.capture import save as capture
from maos_ckpt.errors import TransientStorageError
from maos_ckpt.model import VerifyLevel
from maos_ckpt.replication.pull import make_home, pull
from maos_ckpt.replication.push import push
from maos_ckpt.repository import remote
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.seams import SYSTEM
from maos_ckpt.verify import verify
from tests.backends.proxy import Exchange, Proxy, proxy_before
from tests.backends.servers import Server
from tests.engine.clocks import VirtualClock
from tests.replication.conftest import Site
from tests.replication.test_outage import METHODS, through

BUDGET_S = 0.5
#: Much longer than the budget, and shorter than the read time-out.
HANGS_S = 15.0


@pytest.fixture
def proxy(moto: Server) -> Iterator[Proxy]:
    with proxy_before(moto.endpoint) as proxy:
        yield proxy


@pytest.mark.parametrize("beside", [False, True], ids=["in this process", "in a process beside it"])
def test_a_save_whose_parent_lies_in_the_copy_alone_does_not_wait_for_it(
    site: Site, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    first = site.home("first")
    site.save(first, "first")
    push(first, lease := site.lease(first))
    lease.release()
    settings = RemoteSettings(through(site, proxy).s3, CacheSettings(0, 0))
    second = make_home(site.folder / "second", settings, SYSTEM)
    pull(second)
    assert not second.backend.list("packs")
    monkeypatch.setattr(remote, "SAVE_WAIT_S", BUDGET_S)
    if beside:
        monkeypatch.setattr(capture, "BESIDE_BYTES_MIN", 1)
    goes_on = threading.Event()

    def hang(_: Exchange, forward: Callable[[], None]) -> None:
        goes_on.wait(HANGS_S)
        forward()

    for method in METHODS:
        proxy.order(method, "", hang)
    site.change(5)
    began_s = time.monotonic()
    try:
        checkpoint = site.save(second, "second")
        took_s = time.monotonic() - began_s
    finally:
        goes_on.set()
        proxy.clear()
    assert took_s < HANGS_S / 2
    assert second.checkpoints()[0].id == checkpoint.id
    assert verify(second, [checkpoint], VerifyLevel.FULL).ok
    push(second, site.lease(second))
    assert verify(second, [], VerifyLevel.FULL).ok


def test_calls_side_by_side_share_one_budget() -> None:
    clock = VirtualClock()
    patience = Patience(clock)

    def slow() -> str:
        clock.sleep(0.4)
        return "done"

    assert patience.run(slow) == "done"
    with patience.limit(1.0):
        assert [patience.run(slow) for _ in range(2)] == ["done", "done"]
        patience.run(slow)
        with pytest.raises(TransientStorageError):
            patience.run(slow)
    assert patience.run(slow) == "done"


def test_a_call_that_hangs_is_left_alone_and_none_is_made_after_it() -> None:
    patience, ends, calls = Patience(SYSTEM.clock), threading.Event(), []

    def call() -> None:
        calls.append(1)
        ends.wait(HANGS_S)

    with patience.limit(0.05):
        for _ in range(3):
            with pytest.raises(TransientStorageError, match="does not answer"):
                patience.run(call)
    ends.set()
    assert calls == [1]


def test_an_error_of_a_call_is_its_callers() -> None:
    def fail() -> None:
        raise TransientStorageError("of the call")

    patience = Patience(SYSTEM.clock)
    with patience.limit(5.0), pytest.raises(TransientStorageError, match="of the call"):
        patience.run(fail)
