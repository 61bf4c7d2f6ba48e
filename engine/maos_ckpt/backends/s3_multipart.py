"""Large objects to S3 in parts: bounded memory, several parts under way, nothing left behind on failure."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from maos_ckpt.backends.base import UnsupportedRequestError, check_file, is_name
from maos_ckpt.backends.retrying import RetryPolicy, retry
from maos_ckpt.backends.s3_client import S3Client
from maos_ckpt.backends.s3_errors import LostAnswerError
from maos_ckpt.backends.s3_listing import uploads_below
from maos_ckpt.errors import CkptError
from maos_ckpt.fs import raise_read_error
from maos_ckpt.seams import Seams

#: A file up to this size goes in one request; above it in parts of this size. S3's least is 5 MiB.
PART_BYTES = 16 << 20
#: S3 takes no more parts than this in one object: 156 GiB.
PARTS_MAX = 10_000
#: A part that fails in passing is sent again on its own, rather than the whole file.
_PART_POLICY = RetryPolicy(attempts_max=4, budget_s=20.0)
#: An upload unfinished for longer than this belongs to a process that is gone.
_ORPHAN_S = 24 * 3600
#: Uploads that one sweep aborts; what is left is the next one's.
_SWEPT_MAX = 1000


def content_md5(data: bytes) -> str:
    """The `Content-MD5` header of a body: a checksum on the way (not a signature), which old stores check as well."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def upload(
    client: S3Client,
    pool: ThreadPoolExecutor,
    seams: Seams,
    *,
    name: str,
    key: str,
    path: Path,
    sha256: str,
    attributes: dict[str, Any],
) -> None:
    """Upload a file under `key` unless the key is taken; the object appears whole at the end or not at all.

    As many parts as the client's settings say are under way at once; these and the one being read are in memory.

    Raises:
        IntegrityError: the file does not hold `sha256`; nothing was stored.
        ConditionError: the key is taken.
        LostAnswerError: the object may be there.
    """

    def begin() -> dict[str, Any]:
        return client.call("create_multipart_upload", name, needs=("UploadId",), Key=key, **attributes)

    begun = retry(begin, _PART_POLICY, seams)
    target = {"Key": key, "UploadId": begun["UploadId"]}

    def send(number: int, data: bytes) -> dict[str, Any]:
        def once() -> dict[str, Any]:
            return client.call(
                "upload_part",
                name,
                needs=("ETag",),
                PartNumber=number,
                Body=data,
                ContentMD5=content_md5(data),
                **target,
            )

        return {"PartNumber": number, "ETag": retry(once, _PART_POLICY, seams)["ETag"]}

    under_way: deque[Future[dict[str, Any]]] = deque()
    parts: list[dict[str, Any]] = []
    digest = hashlib.sha256()
    try:
        for number, data in enumerate(_portions(path, name), 1):
            digest.update(data)
            if len(under_way) >= client.settings.parts_at_once:
                parts.append(under_way.popleft().result())
            under_way.append(pool.submit(send, number, data))
        while under_way:
            parts.append(under_way.popleft().result())
        check_file(name, sha256, digest.hexdigest())
    except BaseException:
        _give_up(client, name, target, under_way)
        raise
    whole = {"MultipartUpload": {"Parts": parts}, **target}
    try:
        try:
            client.call("complete_multipart_upload", name, IfNoneMatch="*", **whole)
        except UnsupportedRequestError:
            # The caller has seen that the key was free; that is all that such a store can do.
            client.call("complete_multipart_upload", name, **whole)
    except CkptError:
        # Where the object came to be after all, the upload is gone and there is nothing to abort.
        _give_up(client, name, target, under_way)
        raise


def _portions(path: Path, name: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while data := file.read(PART_BYTES):
                yield data
    except OSError as error:
        raise_read_error(error, path, name)


def _give_up(client: S3Client, name: str, target: dict[str, Any], under_way: deque[Future[dict[str, Any]]]) -> None:
    for part in under_way:
        part.cancel()
    for part in under_way:
        if not part.cancelled():
            # A part that arrives after the abort would stay, so wait for those under way; how they end is no matter.
            part.exception()
    # What cannot be aborted now costs space until `sweep` or the bucket's lifecycle rule removes it.
    with contextlib.suppress(CkptError):
        client.call("abort_multipart_upload", name, **target)


def sweep(client: S3Client, prefix: str, now_ms: int) -> int:
    """Abort uploads of this repository's objects below a key prefix that were begun more than a day ago; how many.

    What others upload below the prefix is none of ours, however old it is.
    """
    old = []
    for one in uploads_below(client, prefix):
        key, begun = str(one.get("Key", "")), one.get("Initiated")
        ours = key.startswith(prefix) and is_name(key.removeprefix(prefix))
        if ours and isinstance(begun, datetime.datetime) and now_ms / 1000 - begun.timestamp() > _ORPHAN_S:
            old.append({"Key": key, "UploadId": one.get("UploadId", "")})
        if len(old) >= _SWEPT_MAX:
            break
    for target in old:
        try:
            client.call("abort_multipart_upload", **target)
        except LostAnswerError as error:
            # Somebody else aborted it, or its end came after all.
            if error.data.get("code") != "NoSuchUpload":
                raise
    return len(old)
