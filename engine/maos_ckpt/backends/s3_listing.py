"""Listing a bucket page by page, so that an answer that is no listing never passes for an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from maos_ckpt.backends.s3_client import S3Client
from maos_ckpt.errors import StorageError

_PAGE_MAX = 1000


def folders_below(client: S3Client, prefix: str, limit: int) -> list[str]:
    """Names of the first `limit` directory levels right below a key prefix, in byte order.

    Raises:
        StorageError: the store's pages lead nowhere, so names may be missing.
    """
    arguments: dict[str, Any] = {"Prefix": prefix, "Delimiter": "/", "MaxKeys": _PAGE_MAX}
    found: list[str] = []
    for page in _pages(client, arguments):
        levels = [str(one.get("Prefix", "")) for one in page.get("CommonPrefixes", [])]
        found += [one.removeprefix(prefix).rstrip("/") for one in levels if one.startswith(prefix)]
        if len(found) >= limit:
            break
    return sorted(found)[:limit]


def _pages(client: S3Client, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        page = client.call("list_objects_v2", needs=("IsTruncated", "Name"), **arguments)
        yield page
        if not page["IsTruncated"]:
            return
        if not page.get("NextContinuationToken"):
            raise StorageError(f"The store at {client.location} does not say how its list goes on.")
        arguments = arguments | {"ContinuationToken": page["NextContinuationToken"]}


def keys_below(client: S3Client, prefix: str, start_after: str) -> Iterator[tuple[str, int]]:
    """Keys that begin with `prefix` and sort after the key `start_after`, with sizes in bytes, in byte order.

    Raises:
        StorageError: the store's pages are out of order or lead nowhere, so names may be missing.
    """
    arguments: dict[str, Any] = {"Prefix": prefix, "MaxKeys": _PAGE_MAX}
    last = start_after
    if start_after:
        arguments["StartAfter"] = start_after
    for page in _pages(client, arguments):
        for item in page.get("Contents", []):
            key, size = item.get("Key", ""), int(item.get("Size", -1))
            if not key.startswith(prefix) or key <= last or size < 0:
                raise StorageError(f"The store at {client.location} lists its objects out of order.")
            last = key
            yield key, size
