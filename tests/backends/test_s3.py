"""S3 settings, credentials, addressing, the capability probe, and stores that do not keep S3's promises."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from maos_ckpt.backends import s3, s3_client, s3_listing, s3_multipart
from maos_ckpt.backends.s3 import CreateMode, S3Backend
from maos_ckpt.backends.s3_probe import Capabilities, choose_create_mode, probe
from maos_ckpt.backends.s3_settings import PARTS_AT_ONCE, S3Settings, parse_url
from maos_ckpt.environment import child_environment
from maos_ckpt.errors import (
    ConfigError,
    ConflictError,
    PermissionRefusedError,
    StorageError,
    TransientStorageError,
)
from maos_ckpt.seams import SYSTEM
from tests.backends.proxy import Exchange, Proxy, proxy_before, refuse, say, without
from tests.backends.servers import Server
from tests.engine.clocks import VirtualClock, seams_with

NAME = "manifests/000000000042"


@pytest.fixture
def proxy(moto: Server) -> Iterator[Proxy]:
    with proxy_before(moto.endpoint) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: Proxy, moto: Server) -> Iterator[S3Backend]:
    server = Server(proxy.endpoint, moto.access_key, moto.secret_key, moto.bucket)
    backend = S3Backend(server.settings(f"probe/{os.urandom(4).hex()}"), SYSTEM)
    yield backend
    backend.close()


def test_a_good_store_can_do_everything(through: S3Backend) -> None:
    found = probe(through, SYSTEM)
    assert found.notes == ()
    assert found.clock_skew_s is not None
    assert abs(found.clock_skew_s) < 5
    assert found == Capabilities(True, True, True, True, True, True, found.clock_skew_s, ())
    assert choose_create_mode(found, single_writer=False) is CreateMode.ATOMIC
    assert list(through.entries("probe")) == []


def test_a_clock_that_is_wrong_is_measured(through: S3Backend) -> None:
    clock = VirtualClock(wall_s=SYSTEM.clock.now_ms() / 1000 + 3600)
    assert probe(through, seams_with(clock)).clock_skew_s == pytest.approx(3600, abs=5)


def test_a_store_that_ignores_conditions_is_found_out(through: S3Backend, proxy: Proxy) -> None:
    proxy.order("PUT", "", without("If-None-Match"))
    found = probe(through, SYSTEM)
    assert (found.conditional_create, found.atomic_create, found.read_after_write) == (False, False, True)
    with pytest.raises(ConflictError, match="ignores conditions"):
        choose_create_mode(found, single_writer=False)
    through.create_mode = choose_create_mode(found, single_writer=True)
    assert through.create_mode is CreateMode.LOOK_FIRST
    assert through.create(NAME, b"first")
    assert not through.create(NAME, b"second")
    assert through.read(NAME, 10) == b"first"
    assert list(through.entries("probe")) == []


def test_a_store_that_refuses_to_know_conditions_takes_a_single_writer(through: S3Backend, proxy: Proxy) -> None:
    def order(exchange: Exchange, forward: Callable[[], None]) -> None:
        if "If-None-Match" in exchange.headers:
            refuse(501, "NotImplemented")(exchange, forward)
        else:
            forward()

    proxy.order("PUT", "", order)
    found = probe(through, SYSTEM)
    assert not found.conditional_create
    through.create_mode = choose_create_mode(found, single_writer=True)
    assert through.create(NAME, b"first")
    assert not through.create(NAME, b"second")
    through.create_mode = CreateMode.ATOMIC
    with pytest.raises(StorageError, match="does not know this request"):
        through.create("manifests/1", b"x")


def check_then_write(proxy: Proxy) -> Callable[[Exchange, Callable[[], None]], None]:
    """A store that looks whether the name is free and writes in two steps, as OpenStack Swift does."""

    def order(exchange: Exchange, forward: Callable[[], None]) -> None:
        known = {key: value for key, value in exchange.headers.items() if key in ("Host", "Authorization")}
        looking = Exchange("HEAD", exchange.path, known, b"")
        proxy.forward(looking)
        threading.Event().wait(0.05)
        if looking.status == 200 and "If-None-Match" in exchange.headers:
            body = b"<Error><Code>PreconditionFailed</Code></Error>"
            say(412, body, Content_Type="application/xml")(exchange, forward)
        else:
            without("If-None-Match")(exchange, forward)

    return order


def test_a_store_whose_condition_is_not_atomic_is_found_out_and_read_back(
    through: S3Backend, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.order("PUT", "", check_then_write(proxy))
    found = probe(through, SYSTEM)
    assert (found.conditional_create, found.atomic_create) == (True, False)
    assert "several writers" in " ".join(found.notes)
    monkeypatch.setattr(s3, "CONFIRM_DELAY_S", 0.4)

    def winners() -> int:
        name, start = f"manifests/{os.urandom(4).hex()}", threading.Barrier(4)

        def work(writer: int) -> bool:
            start.wait()
            return through.create(name, b"%d" % writer)

        with ThreadPoolExecutor(4) as pool:
            return sum(pool.map(work, range(4)))

    through.create_mode = CreateMode.ATOMIC
    assert max(winners() for _ in range(3)) > 1
    through.create_mode = choose_create_mode(found, single_writer=False)
    assert through.create_mode is CreateMode.CONFIRMED
    assert [winners() for _ in range(3)] == [1, 1, 1]


def test_a_store_that_lacks_what_is_needed_is_refused() -> None:
    lame = Capabilities(True, False, False, True, True, True, 0.0, ("a ranged read gives something else",))
    with pytest.raises(StorageError, match="ranged reads, listing does not work"):
        choose_create_mode(lame, single_writer=True)


def test_a_probe_of_a_store_that_loses_writes_says_so(through: S3Backend, proxy: Proxy) -> None:
    body = "<ListBucketResult><Name>maos-test</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
    proxy.order("GET", "list-type=2", say(200, body.encode(), Content_Type="application/xml"))
    found = probe(through, SYSTEM)
    assert not found.listing
    assert found.notes == ("a listing does not show what was written",)


def test_options_arrive_at_the_store(moto: Server, tmp_path: Path) -> None:
    settings = moto.settings(
        "options", server_side_encryption="aws:kms", kms_key_id="alias/checkpoints", storage_class="STANDARD_IA"
    )
    backend = S3Backend(settings, SYSTEM, create_mode=CreateMode.ATOMIC)
    data = os.urandom((16 << 20) + 1)
    (tmp_path / "pack").write_bytes(data)
    backend.create("manifests/1", b"x")
    backend.replace("manifests/2", b"x")
    backend.create_file("packs/00/1", tmp_path / "pack", sha256=hashlib.sha256(data).hexdigest())
    for name in ("manifests/1", "manifests/2", "packs/00/1"):
        head = backend.client.call("head_object", name, Key=f"options/{name}")
        assert (head["ServerSideEncryption"], head["StorageClass"]) == ("aws:kms", "STANDARD_IA")
        assert head["SSEKMSKeyId"] == "alias/checkpoints"
    assert backend.read("packs/00/1", len(data)) == data
    backend.close()


def test_directory_levels_are_listed_over_pages_and_used_through_the_same_connections(
    moto: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_listing, "_PAGE_MAX", 2)
    names = ["a-b", "alpha", "beta", "gamma", "zeta"]
    backend = S3Backend(moto.settings("levels"), SYSTEM, create_mode=CreateMode.ATOMIC)
    assert backend.folders(10) == []
    for name in names:
        deeper = backend.below(name)
        assert deeper.create("manifests/1", name.encode())
        assert deeper.create("manifests/2", b"x")
    assert backend.folders(10) == names
    assert backend.folders(3) == names[:3]
    assert backend.below("beta").read("manifests/1", 100) == b"beta"
    assert backend.below("al").folders(10) == []
    written_ms = backend.below("beta").written_ms("manifests/2")
    assert written_ms is not None
    assert abs(written_ms - SYSTEM.clock.now_ms()) < 60_000
    assert backend.below("beta").written_ms("manifests/3") is None
    assert backend.size("manifests/1") is None
    backend.close()


@pytest.mark.parametrize("parts_at_once", [1, PARTS_AT_ONCE])
def test_an_upload_holds_as_many_parts_in_memory_as_the_settings_say(
    moto: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts_at_once: int
) -> None:
    monkeypatch.setattr(s3_multipart, "PART_BYTES", 5 << 20)
    settings = moto.settings(f"memory-{parts_at_once}", parts_at_once=parts_at_once)
    backend = S3Backend(settings, SYSTEM, create_mode=CreateMode.ATOMIC)
    data = os.urandom(1 << 20) * 80
    (tmp_path / "pack").write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    del data
    tracemalloc.start()
    try:
        assert backend.create_file("packs/00/1", tmp_path / "pack", sha256=sha256)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < (parts_at_once + 2) * (5 << 20)
    assert backend.size("packs/00/1") == 80 << 20
    backend.close()


@pytest.mark.parametrize("style", ["path", "virtual"])
def test_both_styles_of_address_reach_the_bucket(
    proxy: Proxy, moto: Server, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def to_loopback(host: Any, *others: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if str(host).endswith(".amazonaws.com") else host, *others, **more)

    monkeypatch.setattr(socket, "getaddrinfo", to_loopback)
    port = proxy.endpoint.rpartition(":")[2]
    server = Server(f"http://s3.us-east-1.amazonaws.com:{port}", "test", "test", moto.bucket)
    backend = S3Backend(server.settings(style, addressing_style=style), SYSTEM, create_mode=CreateMode.ATOMIC)
    assert backend.create(NAME, style.encode())
    assert backend.read(NAME, 10) == style.encode()
    assert [name for name, _ in backend.entries("manifests")] == [NAME]
    hosts = {headers["Host"].partition(".s3.")[0] for _, _, headers in proxy.seen}
    assert hosts == ({"maos-test"} if style == "virtual" else {f"s3.us-east-1.amazonaws.com:{port}"})
    backend.close()


def test_every_body_is_signed_and_summed_and_none_is_chunked(through: S3Backend, proxy: Proxy) -> None:
    through.replace(NAME, b"0123456789")
    (headers,) = [headers for method, _, headers in proxy.seen if method == "PUT"]
    assert headers["X-Amz-Content-SHA256"] == hashlib.sha256(b"0123456789").hexdigest()
    assert headers["Content-MD5"] == "eB5eJF1ptWaXm4bijSPyxw=="
    assert headers["Content-Length"] == "10"
    assert not {"x-amz-trailer", "x-amz-decoded-content-length"} & {key.lower() for key in headers}


def test_a_missing_bucket_is_no_missing_object(moto: Server) -> None:
    backend = S3Backend(Server(moto.endpoint, "test", "test", "no-such-bucket").settings("x"), SYSTEM)
    calls: list[Callable[[], object]] = [
        lambda: backend.size(NAME),
        lambda: backend.read(NAME, 10),
        lambda: backend.create(NAME, b"x"),
        lambda: list(backend.entries("manifests")),
        lambda: backend.delete(NAME),
        lambda: probe(backend, SYSTEM),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="bucket of s3://no-such-bucket/x does not exist"):
            call()
    backend.close()


def test_a_store_that_cannot_be_reached_is_unavailable_for_now() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        server = Server(f"http://127.0.0.1:{reserved.getsockname()[1]}", "test", "test", "maos-test")
        backend = S3Backend(server.settings("x"), SYSTEM)
        with pytest.raises(TransientStorageError, match="cannot be reached"):
            backend.size(NAME)
        backend.close()


def test_without_credentials_the_right_is_missing_not_the_storage(
    moto: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    files = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(files))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    settings = S3Settings(moto.bucket, endpoint_url=moto.endpoint)
    backend = S3Backend(settings, SYSTEM)
    with pytest.raises(PermissionRefusedError, match="no credentials"):
        backend.size(NAME)
    backend.close()
    with pytest.raises(PermissionRefusedError, match="profile"):
        S3Backend(S3Settings(moto.bucket, endpoint_url=moto.endpoint, profile="operator"), SYSTEM)
    files.write_text("[operator]\naws_access_key_id = test\naws_secret_access_key = test\n")
    backend = S3Backend(S3Settings(moto.bucket, endpoint_url=moto.endpoint, profile="operator"), SYSTEM)
    assert backend.size(NAME) is None
    backend.close()


def test_requests_under_way_are_bounded(through: S3Backend, proxy: Proxy) -> None:
    through.replace(NAME, b"x")
    under_way, most, lock = 0, 0, threading.Lock()

    def count(exchange: Exchange, forward: Callable[[], None]) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        threading.Event().wait(0.05)
        with lock:
            under_way -= 1
        forward()

    proxy.order("GET", NAME, count)
    with ThreadPoolExecutor(40) as pool:
        assert all(pool.map(lambda _: through.read(NAME, 10) == b"x", range(60)))
    assert 4 < most <= s3_client.REQUESTS_MAX


@pytest.mark.parametrize(
    "values",
    [
        {"bucket": "a"},
        {"bucket": "UPPER"},
        {"bucket": "a/b"},
        {"bucket": "a..b"},
        {"prefix": "/a"},
        {"prefix": "a/"},
        {"prefix": "a//b"},
        {"prefix": "a/../b"},
        {"prefix": "a\nb"},
        {"prefix": "a" * 701},
        {"endpoint_url": "ftp://host"},
        {"endpoint_url": "host:9000"},
        {"endpoint_url": "http://"},
        {"endpoint_url": "http://host:99999"},
        {"endpoint_url": "http://host?x=1"},
        {"endpoint_url": "http://AKIA:SECRET@host"},
        {"endpoint_url": "AKIA:SECRET@host:9000"},
        {"endpoint_url": "https://host/?X-Amz-Signature=SECRET"},
        {"endpoint_url": "https://host/#SECRET"},
        {"access_key_id": "AKIA"},
        {"secret_access_key": "SECRET"},
        {"region": "eu west"},
        {"addressing_style": "dns"},
        {"server_side_encryption": "aws:magic"},
        {"kms_key_id": "key"},
        {"storage_class": "DEEP_ARCHIVE"},
        {"connect_timeout_s": 0.0},
    ],
    ids=str,
)
def test_settings_that_cannot_be_right_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        S3Settings(**{"bucket": "maos-test", **values})
    assert "SECRET" not in f"{caught.value.message} {caught.value.hint} {caught.value.data}"


def test_a_url_names_bucket_and_prefix() -> None:
    assert parse_url("s3://maos-test") == ("maos-test", "")
    assert parse_url("s3://maos-test/a/b/") == ("maos-test", "a/b")
    assert S3Settings(*parse_url("s3://maos-test/a/b/")).location == "s3://maos-test/a/b"
    for url in (
        "s3:/maos-test",
        "http://maos-test/a",
        "s3://",
        "s3:///a",
        "s3://maos-test//a",
        "s3://u:p@maos-test/a",
        "u:p@b",
        "s3:u:p@b/c",
        "s3://b/c?sign=u:p",
    ):
        with pytest.raises(ConfigError) as caught:
            parse_url(url)
        assert "u:p" not in str(caught.value.data)


def test_a_secret_is_not_in_what_settings_show() -> None:
    settings = S3Settings("maos-test", access_key_id="AKIA", secret_access_key="SECRET", session_token="TOKEN")
    assert "SECRET" not in repr(settings)
    assert "TOKEN" not in repr(settings)


def test_boto3_is_loaded_for_s3_alone() -> None:
    names = ("base", "local", "retrying", "breaker", "s3_settings")
    script = "; ".join(f"import maos_ckpt.backends.{name}" for name in names)
    script += "; import sys; print(sorted({'boto3', 'botocore'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", script], env=child_environment(), capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "[]"
