"""What an operator is told of the lease, the circuit breaker, the spool and the scrub."""

from __future__ import annotations

import dataclasses

import pytest

from maos_ckpt.backends.breaker import FAILURES_MAX
from maos_ckpt.cli.upkeep_text import upkeep_lines
from maos_ckpt.config import Config
from maos_ckpt.engine.replicator import Replicator
from maos_ckpt.errors import LeaseHeldError
from maos_ckpt.model import TierStatus
from maos_ckpt.operations.outcome import last_outcome, note_failure, note_try
from maos_ckpt.operations.tiers import NOT_ASKED, replicate, tiers
from maos_ckpt.replication.pull import make_home, pull
from maos_ckpt.repository.repository import Repository
from tests.backends.proxy import Proxy, proxy_before
from tests.backends.servers import Server
from tests.engine.clocks import VirtualClock, seams_with
from tests.replication.conftest import Site
from tests.replication.test_outage import take_down, through

DAY_S = 86_400


def told(home: Repository) -> dict[str, str]:
    lines = upkeep_lines(tiers(home), last_outcome(home), Config(), home.seams.clock.now_ms())
    return dict(lines)


def test_who_holds_the_lease_is_told_by_every_home(site: Site) -> None:
    clock = VirtualClock()
    first = site.home("first", seams_with(clock))
    assert tiers(first)[1].reason == NOT_ASKED
    site.save(first)
    lease = site.lease(first)
    replicate(first, lease)
    assert told(first)["lease"].startswith("held by process ")
    second = make_home(site.folder / "second", site.remote, seams_with(clock))
    pull(second)
    clock.sleep(30)
    with pytest.raises(LeaseHeldError) as caught:
        replicate(second, site.lease(second))
    note_failure(second, caught.value)
    assert told(second)["lease"] == told(first)["lease"]
    assert told(second)["lease"].endswith("(30 s ago)")
    first.remote_copy.backend.replace("leases/000000000001", b"{")
    with pytest.raises(LeaseHeldError) as caught:
        replicate(second, site.lease(second))
    note_failure(second, caught.value)
    assert told(second)["lease"] == "held by a lease that cannot be read"
    (_, remote) = tiers(second)
    assert remote.state == "held elsewhere"
    assert "leases/000000000001" in remote.reason
    site.save(second, "goes on")


def test_a_replication_that_fails_is_away_since_it_began(site: Site, moto: Server) -> None:
    with proxy_before(moto.endpoint) as proxy:
        clock = VirtualClock()
        seams = seams_with(clock)
        settings = through(site, proxy)
        home = Repository.open_or_create(site.folder / "home", site.source.spec, seams, remote=settings)
        site.save(home)
        _fail_for_long(home, proxy, clock)


def _fail_for_long(home: Repository, proxy: Proxy, clock: VirtualClock) -> None:
    take_down(proxy)
    began_ms = clock.now_ms()
    replicator = Replicator(home, home.seams, lambda _: None)
    for _ in range(FAILURES_MAX):
        clock.sleep(replicator.step())
    (_, remote) = tiers(home)
    assert remote.state == "away"
    assert remote.since_ms == began_ms
    lines = told(home)
    assert lines["breaker"].startswith("open, requests are held back, since ")
    assert "1 checkpoint, the oldest taken " in lines["spool"]
    note_try(home)
    assert tiers(home)[1].next_try_ms is None
    assert "a replication is under way, begun just now" in told(home)["breaker"]
    assert tiers(home)[1].state == "away"
    proxy.clear()
    clock.sleep(600)
    replicator.step()
    assert tiers(home)[1].state == "ok"
    assert told(home)["breaker"].startswith("closed, requests pass, since ")
    assert told(home)["spool"].startswith("empty")


def test_a_scrub_is_told_with_what_is_due() -> None:
    now_ms = 100 * DAY_S * 1000
    tier = TierStatus("local", "here", "ok", 1, 1, scrub_share=0.25)
    config = Config()

    def line(one: TierStatus) -> str:
        return dict(upkeep_lines([one], None, config, now_ms))["scrub"]

    assert line(tier) == "local: no full round yet, 25% of the first one read"
    ended = dataclasses.replace(tier, scrubbed_at_ms=now_ms - 3 * DAY_S * 1000, damaged=("packs/aa/aa",))
    assert line(ended).startswith("local: all read 3 d 0 h ago, again due in ")
    assert line(ended).endswith("1 object damaged or missing (packs/aa/aa)")
    assert "(overdue)" in line(dataclasses.replace(ended, scrubbed_at_ms=0))
