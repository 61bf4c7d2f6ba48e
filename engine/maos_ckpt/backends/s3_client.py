"""One S3 bucket over boto3: bounded requests, each failure turned into this project's errors.

boto3 repeats nothing here. Its own repetition of a PUT whose answer was lost is told "412" for the object that it has
itself written; what may be repeated, and what a lost answer meant, is decided by those who know what was sent.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.config
import urllib3.exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from maos_ckpt.backends.s3_errors import MISREAD, no_answer_of_s3, told_time, translate
from maos_ckpt.backends.s3_settings import S3Settings
from maos_ckpt.errors import IntegrityError, MissingObjectError, TransientStorageError

#: Requests of one backend under way at once, over all threads that use it.
REQUESTS_MAX = 16
#: Used where the store is not AWS and no region is configured; such stores take any.
_REGION_ELSEWHERE = "us-east-1"
_FAILURES = (
    BotoCoreError,
    ClientError,
    ResponseParserError,
    urllib3.exceptions.HTTPError,
    OSError,
    RecursionError,
    *MISREAD,
)


class S3Client:
    """Requests to one bucket. Thread-safe."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self.location = settings.location
        #: Seconds since 1970 in the `Date` of the last answer, for a look at the clocks; None before the first.
        self.store_time_s: float | None = None
        self._slots = threading.BoundedSemaphore(REQUESTS_MAX)
        try:
            self._client = _connect(settings)
        except _FAILURES as error:
            raise translate(error, "connect", "", self.location) from error

    def call(self, operation: str, name: str = "", *, needs: tuple[str, ...] = (), **parameters: Any) -> dict[str, Any]:
        """Send one request (boto3's method and parameters) to the bucket; `name` is the object for messages.

        `needs` are fields that stand in every true answer. boto3 takes any well-formed page for an answer, and one of
        a proxy for one without fields.

        Raises:
            MissingObjectError, TransientStorageError, StorageError, PermissionRefusedError: see `s3_errors`.
            ConditionError: the condition of a conditional request does not hold.
        """
        with self._slots:
            return self._send(operation, name, needs, parameters)

    @contextmanager
    def get(self, name: str, key: str, **parameters: Any) -> Iterator[tuple[dict[str, Any], Body]]:
        """GET an object: the answer's head, and its body, which is unread and closed after the block."""
        with self._slots:
            answer = self._send("get_object", name, ("Body",), {"Key": key, **parameters})
            stream = answer["Body"]
            try:
                length = int(answer.get("ContentLength", -1))
                if not answer.get("ETag") or length < 0:
                    raise no_answer_of_s3("get_object", self.location)
                yield answer, Body(stream, length, name, self.location)
            finally:
                stream.close()

    def head(self, name: str, key: str) -> dict[str, Any] | None:
        """The head of an object, or None where the store says, in so many words, that there is none."""
        try:
            return self.call("head_object", name, needs=("ETag", "ContentLength"), Key=key)
        except MissingObjectError:
            try:
                # Only the answer to a GET tells a missing object from a missing bucket, or from a proxy's own 404.
                with self.get(name, key) as (head, _body):
                    return head
            except MissingObjectError:
                return None

    def _send(self, operation: str, name: str, needs: tuple[str, ...], parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self.settings.bucket, **parameters)
        except _FAILURES as error:
            raise translate(error, operation, name, self.location) from error
        if not all(field in answer and answer[field] != "" for field in needs):
            raise no_answer_of_s3(operation, self.location)
        told = told_time(answer.get("ResponseMetadata", {}))
        self.store_time_s = told.timestamp() if told else None
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class Body:
    """The unread body of an answer, of `length` bytes by the answer's head."""

    def __init__(self, stream: Any, length: int, name: str, location: str) -> None:
        self._stream = stream
        self.length = length
        self._name = name
        self._location = location

    def read(self, amount: int) -> bytes:
        """At most `amount` bytes, b"" only at the end; raises `TransientStorageError` where the store breaks off."""
        try:
            data: bytes = self._stream.read(amount)
        except _FAILURES as error:
            raise translate(error, "get_object", self._name, self._location) from error
        return data

    def read_all(self, bytes_max: int) -> bytes:
        """The whole body; raises `IntegrityError`, before reading, where it is longer than `bytes_max`."""
        if self.length > bytes_max:
            raise IntegrityError(f"The stored object {self._name} is larger than {bytes_max} bytes.", object=self._name)
        data = self.read(self.length)
        if len(data) != self.length:
            raise TransientStorageError(f"The store at {self._location} broke off in the middle.", object=self._name)
        return data


def _connect(settings: S3Settings) -> Any:
    session = boto3.session.Session(profile_name=settings.profile or None)
    region = settings.region or session.region_name or (_REGION_ELSEWHERE if settings.endpoint_url else None)
    config = botocore.config.Config(
        region_name=region,
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=REQUESTS_MAX,
        tcp_keepalive=True,
        # boto3's default sends checksums as trailers, which several stores refuse and one stores as part of the object.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # A signed SHA-256 of every body takes their place: all stores that know signature version 4 check it.
        s3={"addressing_style": settings.addressing_style, "payload_signing_enabled": True},
    )
    return session.client(
        "s3",
        endpoint_url=settings.endpoint_url or None,
        aws_access_key_id=settings.access_key_id or None,
        aws_secret_access_key=settings.secret_access_key or None,
        aws_session_token=settings.session_token or None,
        config=config,
    )
