"""Ten minutes without S3 at a save every 30 s: no save fails, and everything is replicated in order afterwards."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import msgspec

from maos_ckpt.backends.breaker import CircuitState
from maos_ckpt.engine.replicator import PAUSE_S, PAUSE_S_MAX
from maos_ckpt.operations.tiers import tiers
from maos_ckpt.replication.push import pending
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.repository import Repository
from tests.backends.proxy import Proxy, drop, proxy_before
from tests.backends.servers import Server
from tests.engine.clocks import VirtualClock
from tests.replication.conftest import Site
from tests.replication.interval import INTERVAL_S, Job, Simulation

OUTAGE_S = 600.0
SAVES = int(OUTAGE_S / INTERVAL_S)
METHODS = "GET", "HEAD", "PUT", "POST", "DELETE"


def through(site: Site, proxy: Proxy) -> RemoteSettings:
    s3 = dataclasses.replace(site.remote.s3, endpoint_url=proxy.endpoint)
    return dataclasses.replace(site.remote, s3=s3)


def take_down(proxy: Proxy) -> None:
    for method in METHODS:
        proxy.order(method, "", drop)


def manifests_put(proxy: Proxy) -> list[str]:
    """Manifests in the order in which they were sent, each once."""
    names = [path.rpartition("/")[2] for method, path, _ in proxy.seen if method == "PUT" and "/manifests/" in path]
    return list(dict.fromkeys(names))


def test_ten_minutes_without_s3_fail_no_save_and_everything_follows_in_order(site: Site, moto: Server) -> None:
    with proxy_before(moto.endpoint) as proxy:
        clock = VirtualClock()
        engine = Simulation(site.folder / "home", site.source, site.directory, through(site, proxy), clock)
        for seed in range(3):
            engine.save(seed)
        engine.step()
        assert pending(engine.repository) == []
        assert (engine.tier.state, engine.tier.breaker, engine.tier.next_try_ms) == ("ok", "closed", None)
        take_down(proxy)
        before = len(proxy.seen)
        engine.seen.clear()
        for seed in range(SAVES):
            engine.save(100 + seed)
        requests = len(proxy.seen) - before
        assert len(engine.repository.checkpoints()) == 3 + SAVES
        assert len(pending(engine.repository)) >= SAVES
        # Another process sees what this one knows, and asks nobody.
        other = Repository.open(site.folder / "home", engine.seams, remote=through(site, proxy))
        tier = tiers(other)[1]
        assert (tier.state, tier.pending) == ("away", len(pending(other)))
        assert tier.reason
        assert tier.next_try_ms is not None
        assert tier.oldest_pending_at_ms is not None
        other.close()
        assert len(proxy.seen) - before == requests
        assert CircuitState.OPEN.value in {one.breaker for one in engine.seen}
        # The breaker lets a first few through, and then one now and then.
        assert requests <= 40
        # Pauses double up to the longest, each shortened by chance.
        for number, pause_s in enumerate(engine.pauses_s):
            whole_s = min(PAUSE_S * 2**number, PAUSE_S_MAX)
            assert whole_s / 2 <= pause_s <= whole_s
        assert sum("ReplicationStalled" in one for one in engine.events) <= 2
        proxy.clear()
        while pending(engine.repository):
            clock.sleep(PAUSE_S_MAX)
            engine.step()
        assert clock.wall_s - 1_800_000_000 < 3 * INTERVAL_S + OUTAGE_S + 5 * PAUSE_S_MAX
        assert (engine.tier.state, engine.tier.breaker, engine.tier.reason) == ("ok", "closed", "")
        put = manifests_put(proxy)
        assert put == sorted(put)
        assert len(put) == 3 + SAVES
        engine.close()


def test_a_kill_in_the_middle_of_the_outage_changes_nothing(site: Site, moto: Server) -> None:
    with proxy_before(moto.endpoint) as proxy:
        remote = through(site, proxy)
        clock = VirtualClock()
        engine = Simulation(site.folder / "home", site.source, site.directory, remote, clock)
        for seed in range(2):
            engine.save(seed)
        engine.step()
        engine.close()
        take_down(proxy)
        job = Job(
            str(site.folder / "home"), str(site.directory), str(site.claude), remote.s3, clock.wall_s, 10**6, seed=100
        )
        saved = run_and_kill(job, SAVES // 2)
        job.wall_s += SAVES // 2 * INTERVAL_S
        job.seed = 200
        saved += run_and_kill(job, SAVES // 2)
        proxy.clear()
        clock = VirtualClock(job.wall_s + SAVES // 2 * INTERVAL_S)
        engine = Simulation(site.folder / "home", site.source, site.directory, remote, clock)
        there = {one.id for one in engine.repository.checkpoints()}
        assert there >= set(saved)
        engine.save(300)
        engine.step()
        assert pending(engine.repository) == []
        put = manifests_put(proxy)
        assert put == sorted(put)
        assert len(put) == len(there) + 1
        engine.close()


def run_and_kill(job: Job, saves: int) -> list[str]:
    """Let a process save so often, and kill it; the ids that it told of."""
    command = [sys.executable, "-m", "tests.replication.interval", msgspec.json.encode(job).decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        saved = [process.stdout.readline().decode().split()[0] for _ in range(saves)]
        process.kill()
    return saved
