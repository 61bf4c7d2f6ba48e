"""`maos-ckpt verify --repair`: what is damaged is taken from the other tier, and the exit code says what is left."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from maos_ckpt.backends.read_cache import CacheSettings
from maos_ckpt.operations.tiers import replicate
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from tests.backends.servers import Server, moto_server
from tests.cli.conftest import Cli

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with moto_server(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


@pytest.fixture
def replicated(cli: Cli, moto: Server) -> Cli:
    """With a remote copy that has everything."""
    prefix = f"cli-{next(_NUMBERS)}"
    cli.variables |= {
        "MAOS_CKPT_STORAGE_S3_BUCKET": moto.bucket,
        "MAOS_CKPT_STORAGE_S3_PREFIX": prefix,
        "MAOS_CKPT_STORAGE_S3_ENDPOINT_URL": moto.endpoint,
        "MAOS_CKPT_STORAGE_S3_ACCESS_KEY_ID": moto.access_key,
        "MAOS_CKPT_STORAGE_S3_SECRET_ACCESS_KEY": moto.secret_key,
        "MAOS_CKPT_SYSTEM": "one",
    }
    cli.save()
    remote = RemoteSettings(moto.settings(f"{prefix}/one"), CacheSettings(16 << 20, 3600))
    with contextlib.closing(Repository.open(cli.repository, SYSTEM, remote=remote)) as repository:
        lease = RemoteLease(repository.remote_copy, str(cli.repository), SYSTEM)
        replicate(repository, lease)
        lease.release()
    return cli


def objects(cli: Cli, directory: str) -> list[Path]:
    return sorted(path for path in (cli.repository / directory).rglob("*") if path.is_file())


def spoil(path: Path) -> None:
    data = path.read_bytes()
    at = len(data) // 2
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


@pytest.mark.parametrize("directory", ["packs", "manifests"])
def test_a_damaged_object_is_found_then_taken_from_the_remote_copy(replicated: Cli, directory: str) -> None:
    [path] = objects(replicated, directory)
    whole = path.read_bytes()
    name = str(path.relative_to(replicated.repository))
    spoil(path)
    found = replicated.run("verify", "--level", "full", "--json")
    assert found.code == 5
    assert [(one["tier"], one["object"]) for one in found.json["unrepaired"]] == [("local", name)]
    assert path.read_bytes() != whole
    mended = replicated.ok("verify", "--repair", "--json").json
    assert mended["ok"]
    assert [(one["tier"], one["object"]) for one in mended["repaired"]] == [("local", name)]
    assert mended["unrepaired"] == []
    [kept] = mended["quarantined"]
    assert len((replicated.repository / kept["file"]).read_bytes()) == len(whole)
    assert path.read_bytes() == whole
    assert {one["name"]: one["cache_bypassed"] for one in mended["tiers"]} == {"local": True, "s3": True}
    text = replicated.ok("verify", "--tier", "all").out
    assert text.startswith("OK (standard)")
    assert "s3: " in text
    assert "past the cache" in text


def test_a_damaged_header_is_taken_from_the_remote_copy(replicated: Cli) -> None:
    path = replicated.repository / "maos-ckpt.json"
    whole = path.read_bytes()
    path.write_bytes(re.sub(rb'"created_at_ms": \d', b'"created_at_ms": 9', whole))
    assert replicated.fails(5, "verify")["kind"] == "integrity"
    text = replicated.ok("verify", "--repair").out
    assert "repaired: maos-ckpt.json in local (taken from the remote copy)" in text
    assert "REPAIRED" in text
    assert path.read_bytes() == whole


def test_what_no_tier_holds_is_named_and_the_last_whole_checkpoint_with_it(cli: Cli) -> None:
    first = cli.save()["id"]
    [old] = objects(cli, "packs")
    cli.execute("UPDATE agents SET name = name || ' again'")
    second = cli.save()["id"]
    [new] = set(objects(cli, "packs")) - {old}
    data = new.read_bytes()
    new.write_bytes(data[:8] + bytes(len(data) // 2) + data[8 + len(data) // 2 :])
    left = cli.run("verify", "--repair", "--json")
    assert left.code == 5
    assert [one["object"] for one in left.json["unrepaired"]] == [str(new.relative_to(cli.repository))]
    assert left.json["last_good"] == first
    assert any(second in one["affected"] for one in left.json["findings"])
    assert cli.run("verify").out.count(first) >= 1
    # The state still lives: the next save stores what was lost, and both checkpoints are whole again.
    cli.save()
    assert cli.ok("verify", "--level", "full").out.startswith("OK (full)")


def test_a_repair_is_refused_in_read_only_mode_and_a_tier_that_is_not_there_is_named(cli: Cli) -> None:
    cli.save()
    assert cli.fails(7, "verify", "--repair", "--read-only")["kept"]
    assert cli.fails(2, "verify", "--tier", "s3")["hint"]
    assert cli.ok("verify", "--repair", "--tier", "local").out.startswith("OK")
