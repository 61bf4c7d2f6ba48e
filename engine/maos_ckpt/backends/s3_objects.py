"""Single objects below a prefix of a bucket: what they are called, what they are written with, whether they hold what
they should."""

from __future__ import annotations

import copy
import hashlib
from typing import Any, Self

from maos_ckpt.backends.base import check_name
from maos_ckpt.backends.s3_client import S3Client
from maos_ckpt.backends.s3_multipart import content_md5
from maos_ckpt.backends.s3_settings import S3Settings
from maos_ckpt.errors import MissingObjectError, TransientStorageError

#: Metadata key of an object's SHA-256 in hex.
DIGEST = "sha256"
_COMPARE_PORTION_BYTES = 1 << 20


class S3Objects:
    """Objects by name, each with the SHA-256 of its bytes beside it. Thread-safe."""

    def __init__(self, settings: S3Settings) -> None:
        self.client = S3Client(settings)
        self._root = f"{settings.prefix}/" if settings.prefix else ""
        stored_as = {
            "ServerSideEncryption": settings.server_side_encryption,
            "SSEKMSKeyId": settings.kms_key_id,
            "StorageClass": settings.storage_class,
        }
        self._stored_as = {option: value for option, value in stored_as.items() if value}

    @property
    def location(self) -> str:
        """`s3://bucket/prefix`."""
        return self.client.location

    def key(self, name: str) -> str:
        """The key of an object; raises `UsageError` for what is no name."""
        return self._root + check_name(name)

    def attributes(self, sha256: str) -> dict[str, Any]:
        """Request parameters that every object is written with."""
        return {"Metadata": {DIGEST: sha256}, "ContentType": "application/octet-stream", **self._stored_as}

    def put(self, name: str, key: str, data: bytes, digest: str, **condition: str) -> None:
        """Put an object; raises `ConditionError` where the condition (a request parameter) does not hold."""
        self.client.call(
            "put_object",
            name,
            needs=("ETag",),
            Key=key,
            Body=data,
            ContentMD5=content_md5(data),
            **self.attributes(digest),
            **condition,
        )

    def compare(self, name: str, digest: str, size: int) -> bool | None:
        """Whether an object holds the bytes of this SHA-256 and size; None where there is no such object."""
        head = self.client.head(name, self.key(name))
        if head is None:
            return None
        if int(head["ContentLength"]) != size:
            return False
        told = digest_of(head)
        if told:
            return told == digest
        # Copied here by a tool that drops metadata: the bytes themselves have to tell.
        found = hashlib.sha256()
        try:
            with self.client.get(name, self.key(name)) as (_head, body):
                left = body.length
                while data := body.read(min(left, _COMPARE_PORTION_BYTES)):
                    found.update(data)
                    left -= len(data)
        except MissingObjectError:
            return None
        if left:
            raise TransientStorageError(f"The store at {self.location} broke off in the middle.", object=name)
        return found.hexdigest() == digest

    def below(self, folder: str) -> Self:
        """The objects one directory level deeper, through the same connections; these are closed with this one."""
        deeper = copy.copy(self)
        deeper._root = f"{self._root}{folder}/"
        return deeper

    def written_ms(self, name: str) -> int | None:
        """When an object was written by the store's clock, in milliseconds since 1970; None where there is none."""
        head = self.client.head(name, self.key(name))
        return None if head is None else round(head["LastModified"].timestamp() * 1000)


def digest_of(head: dict[str, Any]) -> str:
    """The SHA-256 that an object was written with, or ""; some stores change the case of metadata keys."""
    for key, value in head.get("Metadata", {}).items():
        if key.lower() == DIGEST:
            return str(value)
    return ""
