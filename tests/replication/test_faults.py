"""What an operator meets when something is wrong with the remote side: a sentence, and never a lost checkpoint.

The commands are real processes; S3 is a real server behind a proxy that does what it is told.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from maos_ckpt.environment import child_environment
from maos_ckpt.replication.pull import make_home, pull
from maos_ckpt.seams import SYSTEM
from tests.backends.proxy import Order, Proxy, cut, drop, html, proxy_before, refuse, without
from tests.backends.servers import Server
from tests.replication.conftest import Site
from tests.replication.test_outage import METHODS, through

TIMEOUT_S = 90


@dataclass
class Desk:
    """A shell on the machine: a configuration file that names the bucket, behind the proxy."""

    site: Site
    proxy: Proxy
    config: Path

    def run(self, *arguments: str, home: str = "home") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "maos_ckpt_tui", *arguments, "--config", str(self.config)]
        command += ["--claude-home", str(self.site.claude), "--repo", str(self.site.folder / home)]
        command += ["--source", f"maos:{self.site.directory}"]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, env=child_environment(), check=False
        )

    def all(self, order: Order) -> None:
        for method in METHODS:
            self.proxy.order(method, "", order)

    def states(self, home: str = "home") -> dict[str, str]:
        """Descriptions of checkpoints with their states."""
        listed = self.run("list", "--json", home=home)
        assert listed.returncode == 0, listed.stderr
        return {one["description"]: one["state"] for one in json.loads(listed.stdout)["checkpoints"]}


@pytest.fixture
def desk(site: Site, moto: Server) -> Iterator[Desk]:
    with proxy_before(moto.endpoint) as proxy:
        s3 = through(site, proxy).s3
        config = site.folder / "config.toml"
        lines = ['system = "one"', "[storage.s3]"]
        for key in ("bucket", "endpoint_url", "access_key_id", "secret_access_key"):
            lines.append(f'{key} = "{getattr(s3, key)}"')
        lines.append(f'prefix = "{s3.prefix.rpartition("/")[0]}"')
        config.write_text("\n".join(lines) + "\n")
        config.chmod(0o600)
        yield Desk(site, proxy, config)


def test_a_save_on_the_command_line_is_replicated_where_no_engine_runs(desk: Desk) -> None:
    done = desk.run("save", "-m", "first")
    assert (done.returncode, "warning" in done.stderr) == (0, False), done.stderr
    assert desk.states() == {"first": "replicated"}


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (refuse(403, "InvalidAccessKeyId"), "key"),
        (refuse(403, "ExpiredToken"), "expired"),
        (refuse(403, "RequestTimeTooSkewed"), "clock"),
        (refuse(404, "NoSuchBucket"), "bucket"),
        (refuse(301, "PermanentRedirect"), "redirects"),
        (refuse(503, "SlowDown"), ""),
        (html(200), ""),
        (drop, ""),
        (without("If-None-Match"), "condition"),
    ],
    ids=["keys", "expired", "skew", "no bucket", "region", "slow down", "html", "no connection", "no conditions"],
)
def test_a_save_succeeds_whatever_s3_says(desk: Desk, order: Order, says: str) -> None:
    desk.all(order)
    done = desk.run("save", "-m", "first")
    assert done.returncode == 0, done.stderr
    assert "warning: kept locally, will be sent later:" in done.stderr
    assert says in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert "AKIASECRET" not in done.stderr


def test_what_was_kept_locally_follows_with_the_next_save(desk: Desk) -> None:
    desk.all(refuse(403, "ExpiredToken"))
    assert desk.run("save", "-m", "first").returncode == 0
    assert desk.states() == {"first": "committed"}
    desk.proxy.clear()
    assert desk.run("save", "-m", "second").stderr == ""
    assert desk.states() == {"first": "replicated", "second": "replicated"}


def test_half_answers_are_repeated_and_change_nothing(desk: Desk) -> None:
    desk.proxy.order("GET", "", cut, times=3)
    done = desk.run("save", "-m", "first")
    assert (done.returncode, done.stderr) == (0, "")
    assert desk.states() == {"first": "replicated"}


def test_a_new_home_without_its_bucket_still_takes_checkpoints(desk: Desk) -> None:
    """A home that came from the bucket has the trees of its last checkpoint only there."""
    assert desk.run("save", "-m", "first").returncode == 0
    site = desk.site
    second = make_home(site.folder / "second", through(site, desk.proxy), SYSTEM)
    pull(second)
    assert second.backend.list("packs") == {}
    second.close()
    desk.all(drop)
    site.change(5)
    done = desk.run("save", "-m", "second", home="second")
    assert done.returncode == 0, done.stderr
    assert "kept locally" in done.stderr
    assert desk.states("second") == {"first": "replicated", "second": "committed"}
