"""What goes wrong between the engine and an S3 store, played by a proxy before moto's server."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maos_ckpt.backends import s3, s3_listing, s3_multipart
from maos_ckpt.backends.retrying import RetryingBackend
from maos_ckpt.backends.s3 import CreateMode, S3Backend
from maos_ckpt.errors import (
    CkptError,
    ExitCode,
    IntegrityError,
    MissingObjectError,
    PermissionRefusedError,
    StorageError,
    TransientStorageError,
)
from tests.backends.proxy import Exchange, Order, Proxy, cut, drop, flip, html, lose, proxy_before, refuse, say
from tests.backends.servers import Server
from tests.engine.clocks import VirtualClock, seams_with

NAME = "manifests/000000000042"
READ_TIMEOUT_S = 0.5


@pytest.fixture(scope="module")
def proxied(moto: Server) -> Iterator[tuple[Proxy, S3Backend]]:
    with proxy_before(moto.endpoint) as proxy:
        server = Server(proxy.endpoint, moto.access_key, moto.secret_key, moto.bucket)
        settings = server.settings("faults", read_timeout_s=READ_TIMEOUT_S)
        # Waits in attempts at single parts take no time.
        backend = S3Backend(settings, seams_with(VirtualClock()), create_mode=CreateMode.ATOMIC)
        yield proxy, backend
        backend.close()


@pytest.fixture
def proxy(proxied: tuple[Proxy, S3Backend]) -> Iterator[Proxy]:
    proxied[0].seen.clear()
    yield proxied[0]
    proxied[0].clear()


@pytest.fixture
def backend(proxied: tuple[Proxy, S3Backend], proxy: Proxy) -> S3Backend:
    for directory in ("manifests", "packs"):
        proxied[1].delete(*[name for name, _ in proxied[1].entries(directory)])
    proxy.seen.clear()
    return proxied[1]


@pytest.fixture
def retrying(backend: S3Backend) -> RetryingBackend:
    return RetryingBackend(backend, seams_with(VirtualClock()))


def hang(exchange: object, forward: Callable[[], None]) -> None:
    time.sleep(READ_TIMEOUT_S * 1.5)
    drop(exchange, forward)  # type: ignore[arg-type]


def pack(path: Path, size: int) -> tuple[Path, str, str]:
    path.write_bytes(os.urandom(size))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return path, sha256, f"packs/{sha256[:2]}/{sha256}"


def test_a_lost_answer_to_a_create_is_settled_by_reading_back(backend: S3Backend, proxy: Proxy) -> None:
    proxy.order("PUT", NAME, lose, 1)
    assert backend.create(NAME, b"mine")
    assert backend.read(NAME, 10) == b"mine"
    assert (proxy.count("PUT"), proxy.count("HEAD")) == (1, 1)


def test_a_lost_answer_that_was_a_refusal_is_one(backend: S3Backend, proxy: Proxy) -> None:
    backend.create(NAME, b"theirs")
    proxy.order("PUT", NAME, lose, 1)
    assert not backend.create(NAME, b"mine")
    assert backend.read(NAME, 10) == b"theirs"


@pytest.mark.parametrize("how", [drop, hang, refuse(500, "InternalError"), html(502)])
def test_a_create_that_never_arrived_can_be_repeated(
    backend: S3Backend, retrying: RetryingBackend, proxy: Proxy, how: Order
) -> None:
    proxy.order("PUT", NAME, how, 1)
    with pytest.raises(TransientStorageError):
        backend.create(NAME, b"mine")
    assert backend.size(NAME) is None
    proxy.order("PUT", NAME, how, 1)
    assert retrying.create(NAME, b"mine")
    assert backend.read(NAME, 10) == b"mine"


def test_a_repeated_create_recognises_its_own_object_where_reading_back_failed_too(
    backend: S3Backend, retrying: RetryingBackend, proxy: Proxy
) -> None:
    proxy.order("PUT", NAME, lose, 1)
    proxy.order("HEAD", NAME, drop, 1)
    assert retrying.create(NAME, b"mine")
    assert proxy.count("PUT") == 2


def test_a_conflict_of_writers_under_way_is_repeated_until_decided(retrying: RetryingBackend, proxy: Proxy) -> None:
    proxy.order("PUT", NAME, refuse(409, "ConditionalRequestConflict"), 2)
    assert retrying.create(NAME, b"mine")
    assert proxy.count("PUT") == 3


def test_an_object_without_our_metadata_is_compared_by_its_bytes(backend: S3Backend, proxy: Proxy) -> None:
    backend.client.call("put_object", Key=backend.key(NAME), Body=b"copied here by some tool")
    assert backend.create(NAME, b"copied here by some tool")
    assert not backend.create(NAME, b"copied here by some fool")
    proxy.order("GET", NAME, cut, 1)
    with pytest.raises(TransientStorageError):
        backend.create(NAME, b"copied here by some tool")


def calls(backend: S3Backend | RetryingBackend) -> dict[str, Callable[[], object]]:
    return {
        "create": lambda: backend.create(NAME, b"0123456789"),
        "replace": lambda: backend.replace(NAME, b"0123456789"),
        "read": lambda: backend.read(NAME, 10),
        "read_range": lambda: backend.read_range(NAME, 2, 5),
        "size": lambda: backend.size(NAME),
        "entries": lambda: list(backend.entries("manifests")),
        "delete": lambda: backend.delete(NAME),
    }


VERBS = ("GET", "PUT", "HEAD", "POST")


@pytest.mark.parametrize("call", ["create", "replace", "read", "read_range", "size", "entries", "delete"])
@pytest.mark.parametrize(
    "order",
    [refuse(503, "SlowDown"), refuse(429, "TooManyRequests"), refuse(500, "InternalError"), drop, html(200), html(503)],
    ids=["SlowDown", "TooManyRequests", "InternalError", "reset", "html 200", "html 503"],
)
def test_every_call_survives_what_passes_and_reports_what_stays(
    backend: S3Backend, retrying: RetryingBackend, proxy: Proxy, call: str, order: Order
) -> None:
    if call != "create":
        backend.create(NAME, b"0123456789")
    for verb in VERBS:
        proxy.order(verb, "", order)
    with pytest.raises(TransientStorageError):
        calls(backend)[call]()
    proxy.clear()
    for verb in VERBS:
        proxy.order(verb, "", order, 2)
    expected = {
        "create": True, "replace": None, "read": b"0123456789", "read_range": b"23456", "size": 10,
        "entries": [(NAME, 10)], "delete": None,
    }  # fmt: skip
    assert calls(retrying)[call]() == expected[call]


@pytest.mark.parametrize("call", ["read", "read_range", "size", "entries", "create"])
def test_a_page_not_found_by_a_proxy_is_no_missing_object(backend: S3Backend, proxy: Proxy, call: str) -> None:
    for verb in VERBS:
        proxy.order(verb, "", html(404))
    with pytest.raises(TransientStorageError, match="is not an S3 store"):
        calls(backend)[call]()


def test_half_a_body_is_never_given(backend: S3Backend, retrying: RetryingBackend, proxy: Proxy) -> None:
    data = os.urandom(300_000)
    backend.create(NAME, data)
    proxy.order("GET", NAME, cut)
    with pytest.raises(TransientStorageError):
        backend.read(NAME, 300_000)
    with pytest.raises(TransientStorageError):
        backend.read_range(NAME, 5, 200_000)
    proxy.clear()
    proxy.order("GET", NAME, cut, 1)
    assert retrying.read(NAME, 300_000) == data
    proxy.order("GET", NAME, cut, 1)
    assert retrying.read_range(NAME, 5, 200_000) == data[5:200_005]


def test_damage_on_the_way_is_healed_and_damage_in_the_store_is_named(backend: S3Backend, proxy: Proxy) -> None:
    backend.create(NAME, b"0123456789")
    proxy.order("GET", NAME, flip, 1)
    assert backend.read(NAME, 10) == b"0123456789"
    proxy.order("GET", NAME, flip)
    with pytest.raises(IntegrityError, match="is not what was written"):
        backend.read(NAME, 10)


def test_a_store_that_ignores_ranges_is_refused_before_the_body_is_read(backend: S3Backend, proxy: Proxy) -> None:
    backend.create(NAME, b"0123456789")
    proxy.order("GET", NAME, say(200, b"0123456789", ETag='"1"'))
    with pytest.raises(StorageError, match="ignores ranges"):
        backend.read_range(NAME, 2, 5)


def listing(*keys: str, truncated: str = "false", token: str = "") -> bytes:
    contents = "".join(f"<Contents><Key>faults/manifests/{key}</Key><Size>1</Size></Contents>" for key in keys)
    name = "<Name>maos-test</Name>" + (f"<NextContinuationToken>{token}</NextContinuationToken>" if token else "")
    return f"<ListBucketResult>{name}<IsTruncated>{truncated}</IsTruncated>{contents}</ListBucketResult>".encode()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (listing("2", "1"), "out of order"),
        (listing("1", "1"), "out of order"),
        (listing("1", truncated="true"), "how its list goes on"),
        (listing("1", truncated="true", token="t"), "out of order"),
        (listing(truncated="true", token="t"), "how its list goes on"),
        (listing("1").replace(b"<Size>1<", b"<Size>%d<" % 2**63), "out of order"),
        (b"<ListBucketResult></ListBucketResult>", "is not an S3 store"),
        (b"<ListBucketResult><Name>maos-", "failed"),
    ],
)
def test_a_listing_that_cannot_be_right_is_no_listing(backend: S3Backend, proxy: Proxy, body: bytes, text: str) -> None:
    proxy.order("GET", "list-type=2", say(200, body, Content_Type="application/xml"))
    with pytest.raises(StorageError, match=text):
        list(backend.entries("manifests"))


def test_a_listing_that_breaks_off_goes_on_where_it_was(
    backend: S3Backend, retrying: RetryingBackend, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_listing, "_PAGE_MAX", 2)
    names = [f"manifests/{number}" for number in range(7)]
    for name in names:
        backend.replace(name, b"x")
    proxy.order("GET", "continuation-token", drop, 1)
    assert [name for name, _ in retrying.entries("manifests")] == names


@pytest.mark.parametrize(
    ("order", "kind", "exit_code", "text"),
    [
        (refuse(403, "AccessDenied"), PermissionRefusedError, ExitCode.PERMISSION, "refuses the credentials"),
        (refuse(403, "InvalidAccessKeyId"), PermissionRefusedError, ExitCode.PERMISSION, "InvalidAccessKeyId"),
        (refuse(403, "SignatureDoesNotMatch"), PermissionRefusedError, ExitCode.PERMISSION, "SignatureDoesNotMatch"),
        (refuse(400, "ExpiredToken"), PermissionRefusedError, ExitCode.PERMISSION, "ExpiredToken"),
        (html(407), PermissionRefusedError, ExitCode.PERMISSION, "407"),
        (
            refuse(403, "RequestTimeTooSkewed", Date="Fri, 15 Jan 2027 08:00:00 GMT"),
            StorageError,
            ExitCode.UNAVAILABLE,
            "clock of this machine",
        ),
        (refuse(404, "NoSuchBucket"), StorageError, ExitCode.UNAVAILABLE, "bucket of .* does not exist"),
        (
            refuse(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
            StorageError,
            ExitCode.UNAVAILABLE,
            "another region, eu-west-1",
        ),
        (refuse(507, "InsufficientStorage"), StorageError, ExitCode.UNAVAILABLE, "takes no more"),
        (refuse(400, "AKIA SECRET"), StorageError, ExitCode.UNAVAILABLE, "HTTP 400"),
    ],
)
@pytest.mark.parametrize("call", ["create", "read", "entries"])
def test_a_refusal_names_its_remedy_and_no_secret(
    backend: S3Backend,
    proxy: Proxy,
    call: str,
    order: Order,
    kind: type[CkptError],
    exit_code: ExitCode,
    text: str,
) -> None:
    for verb in VERBS:
        proxy.order(verb, "", order)
    with pytest.raises(kind, match=text) as caught:
        calls(backend)[call]()
    error = caught.value
    assert not isinstance(error, TransientStorageError)
    assert error.exit_code == exit_code
    assert error.hint
    told = f"{error.message} {error.kept} {error.hint} {error.data}"
    assert "SECRET" not in told
    assert "sign in" not in told


ODD_ANSWERS = [
    b"", b"{}", b"<", b"<a/>", b"\0\xff", b"<html><p>Sign in</p></html>",
    b"<ListBucketResult><Name>maos-test</Name><IsTruncated>false</IsTruncated><Contents/></ListBucketResult>",
    b"<ListBucketResult><Name>maos-test</Name><IsTruncated>false</IsTruncated>"
    b"<Contents><Key>faults/manifests/1</Key><Size>many</Size></Contents></ListBucketResult>",
    b"<ListBucketResult><Name>maos-test</Name><IsTruncated>false</IsTruncated>"
    b"<Contents><Key>faults/manifests/1</Key><Size>-1</Size></Contents></ListBucketResult>",
    b"<DeleteResult><Error/></DeleteResult>",
    b"<InitiateMultipartUploadResult><Bucket>x</Bucket></InitiateMultipartUploadResult>",
]  # fmt: skip


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("body", ODD_ANSWERS)
@pytest.mark.parametrize("status", [200, 206, 204, 304, 400, 404, 500])
def test_whatever_answers_is_told_as_an_error_of_ours(
    backend: S3Backend, proxy: Proxy, tmp_path: Path, body: bytes, status: int
) -> None:
    path, sha256, name = pack(tmp_path / "pack", 6 << 20)
    for verb in VERBS:
        proxy.order(verb, "", say(status, body, Date="yesterday", Content_Type="application/xml"))
    for run in calls(backend).values():
        with pytest.raises(CkptError):
            run()
    with pytest.raises(CkptError):
        backend.create_file(name, path, sha256=sha256)


def test_a_store_without_batches_deletes_one_by_one(backend: S3Backend, proxy: Proxy) -> None:
    for number in range(3):
        backend.replace(f"manifests/{number}", b"x")
    proxy.order("POST", "delete", refuse(501, "NotImplemented"))
    backend.delete("manifests/0", "manifests/1", "manifests/none")
    assert [name for name, _ in backend.entries("manifests")] == ["manifests/2"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [("AccessDenied", PermissionRefusedError), ("InternalError", TransientStorageError), ("Strange", StorageError)],
)
def test_a_delete_that_failed_for_one_object_says_so(
    backend: S3Backend, proxy: Proxy, code: str, kind: type[CkptError]
) -> None:
    body = f"<DeleteResult><Error><Key>faults/{NAME}</Key><Code>{code}</Code></Error></DeleteResult>".encode()
    proxy.order("POST", "delete", say(200, body, Content_Type="application/xml"))
    with pytest.raises(kind):
        backend.delete(NAME)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (s3, s3_multipart):
        monkeypatch.setattr(module, "PART_BYTES", 5 << 20)


def unfinished(backend: S3Backend) -> int:
    return len(backend.client.call("list_multipart_uploads").get("Uploads", []))


@pytest.mark.usefixtures("small_parts")
def test_a_part_that_fails_in_passing_is_sent_again_alone(backend: S3Backend, proxy: Proxy, tmp_path: Path) -> None:
    path, sha256, name = pack(tmp_path / "pack", 11 << 20)
    proxy.order("PUT", "partNumber=2", refuse(503, "SlowDown"), 1)
    proxy.order("PUT", "partNumber=3", lose, 1)
    assert backend.create_file(name, path, sha256=sha256)
    assert proxy.count("PUT") == 5
    assert backend.read(name, 11 << 20) == path.read_bytes()
    assert unfinished(backend) == 0


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    ("order", "kind"), [(refuse(403, "AccessDenied"), PermissionRefusedError), (drop, TransientStorageError)]
)
def test_an_upload_that_fails_leaves_nothing(
    backend: S3Backend, proxy: Proxy, tmp_path: Path, order: Order, kind: type[CkptError]
) -> None:
    path, sha256, name = pack(tmp_path / "pack", 11 << 20)
    proxy.order("PUT", "partNumber=2", order)
    with pytest.raises(kind):
        backend.create_file(name, path, sha256=sha256)
    assert backend.size(name) is None
    assert unfinished(backend) == 0


@pytest.mark.usefixtures("small_parts")
def test_a_lost_answer_to_the_end_of_an_upload_is_settled_by_reading_back(
    backend: S3Backend, proxy: Proxy, tmp_path: Path
) -> None:
    path, sha256, name = pack(tmp_path / "pack", 6 << 20)
    proxy.order("POST", "uploadId=", lose, 1)
    assert backend.create_file(name, path, sha256=sha256)
    assert backend.read(name, 6 << 20) == path.read_bytes()


@pytest.mark.usefixtures("small_parts")
def test_an_upload_ends_on_a_store_that_knows_no_condition_there(
    backend: S3Backend, proxy: Proxy, tmp_path: Path
) -> None:
    path, sha256, name = pack(tmp_path / "pack", 6 << 20)
    proxy.order("POST", "uploadId=", refuse(501, "NotImplemented"), 1)
    assert backend.create_file(name, path, sha256=sha256)
    assert backend.read(name, 6 << 20) == path.read_bytes()


@pytest.mark.parametrize(
    ("length", "kind", "text"),
    [
        ("-5", TransientStorageError, "is not an S3 store"),
        ("many", TransientStorageError, "is not an S3 store"),
        ("11", IntegrityError, "larger than 10 bytes"),
        (str(1 << 60), IntegrityError, "larger than 10 bytes"),
    ],
)
def test_a_claimed_size_is_checked_before_a_byte_is_read(
    backend: S3Backend, proxy: Proxy, length: str, kind: type[CkptError], text: str
) -> None:
    proxy.order("GET", NAME, say(200, b"x", ETag='"1"', Content_Length=length))
    with pytest.raises(kind, match=text):
        backend.read(NAME, 10)


@pytest.mark.usefixtures("small_parts")
def test_a_name_taken_while_parts_were_sent_stays_as_it_is(backend: S3Backend, proxy: Proxy, tmp_path: Path) -> None:
    path, sha256, name = pack(tmp_path / "pack", 6 << 20)

    def overtake(exchange: object, forward: Callable[[], None]) -> None:
        backend.replace(name, b"theirs")
        forward()

    proxy.order("POST", "uploadId=", overtake, 1)
    assert not backend.create_file(name, path, sha256=sha256)
    assert backend.read(name, 10) == b"theirs"
    assert unfinished(backend) == 0


def test_uploads_of_crashed_processes_are_swept_after_a_day(backend: S3Backend, moto: Server) -> None:
    backend.client.call("create_multipart_upload", Key=backend.key("packs/00/00"))
    (upload,) = backend.client.call("list_multipart_uploads")["Uploads"]
    begun_s = upload["Initiated"].timestamp()
    others = backend.client.call("create_multipart_upload", Key="faults/packs/a stranger's upload.bin")
    today = S3Backend(moto.settings("faults"), seams_with(VirtualClock(wall_s=begun_s + 23 * 3600)))
    tomorrow = S3Backend(moto.settings("faults"), seams_with(VirtualClock(wall_s=begun_s + 25 * 3600)))
    elsewhere = S3Backend(moto.settings("other"), seams_with(VirtualClock(wall_s=begun_s + 25 * 3600)))
    assert (today.sweep(), elsewhere.sweep(), unfinished(backend)) == (0, 0, 2)
    assert (tomorrow.sweep(), unfinished(backend)) == (1, 1)
    (left,) = backend.client.call("list_multipart_uploads")["Uploads"]
    assert left["UploadId"] == others["UploadId"]
    backend.client.call("abort_multipart_upload", Key=left["Key"], UploadId=left["UploadId"])
    for one in (today, tomorrow, elsewhere):
        one.close()


def test_a_list_that_leads_in_circles_ends(backend: S3Backend, proxy: Proxy) -> None:
    turns = iter(range(1_000_000))

    def go_on(exchange: Exchange, forward: Callable[[], None]) -> None:
        say(200, listing(truncated="true", token=f"t{next(turns)}"), Content_Type="application/xml")(exchange, forward)

    proxy.order("GET", "list-type=2", go_on)
    with pytest.raises(StorageError, match="how its list goes on"):
        list(backend.entries("manifests"))
    with pytest.raises(StorageError, match="how its list goes on"):
        backend.folders(10)
    assert proxy.count("GET") < 3 * s3_listing._EMPTY_PAGES_MAX


def test_the_end_of_an_object_is_told_without_a_word_of_the_store(backend: S3Backend, proxy: Proxy) -> None:
    proxy.order("GET", NAME, html(416))
    with pytest.raises(IntegrityError, match="ends before byte 7"):
        backend.read_range(NAME, 2, 5)


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -0000", "Fri, 31 Dec 9999 23:59:59 -1400", "nonsense"])
def test_a_date_that_no_clock_shows_fails_nothing(backend: S3Backend, proxy: Proxy, date: str) -> None:
    proxy.order("HEAD", NAME, say(200, b"", ETag='"1"', Content_Length="3", Date=date))
    assert backend.size(NAME) == 3


def test_what_is_asked_of_a_missing_object_is_answered_so(backend: S3Backend, proxy: Proxy) -> None:
    with pytest.raises(MissingObjectError):
        backend.read(NAME, 10)
    assert backend.size(NAME) is None
    # A HEAD that finds nothing is confirmed by a GET, whose answer tells what is missing.
    assert (proxy.count("HEAD"), proxy.count("GET")) == (1, 2)
