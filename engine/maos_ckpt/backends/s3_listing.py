"""Listing a bucket page by page, so that an answer that is no listing never passes for an empty one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from maos_ckpt.backends.s3_client import S3Client
from maos_ckpt.errors import StorageError

_PAGE_MAX = 1000
#: Pages in a row that hold nothing and name a next one; more are a store that leads in circles.
_EMPTY_PAGES_MAX = 100
#: No store has larger objects; a size beyond is no size.
_OBJECT_BYTES_MAX = 1 << 60
#: The answer's fields that say where the next page begins, and the parameters that ask for it.
_TOKEN = {"NextContinuationToken": "ContinuationToken"}
_MARKERS = {"NextKeyMarker": "KeyMarker", "NextUploadIdMarker": "UploadIdMarker"}


def _pages(
    client: S3Client, operation: str, field: str, following: Mapping[str, str], arguments: dict[str, Any]
) -> Iterator[list[Mapping[str, Any]]]:
    """What `field` holds, page by page.

    Raises:
        StorageError: the pages lead nowhere, so something may be missing.
    """
    needs = ("IsTruncated", "Name") if following is _TOKEN else ()
    empty = 0
    while True:
        page = client.call(operation, needs=needs, **arguments)
        found = page.get(field, [])
        yield found
        if not page.get("IsTruncated"):
            return
        empty = 0 if found else empty + 1
        next_arguments = {asks: page[told] for told, asks in following.items() if page.get(told)}
        if not next_arguments or next_arguments.items() <= arguments.items() or empty > _EMPTY_PAGES_MAX:
            raise StorageError(f"The store at {client.location} does not say how its list goes on.")
        arguments = arguments | next_arguments


def _out_of_order(client: S3Client) -> StorageError:
    return StorageError(f"The store at {client.location} lists its objects out of order.")


def folders_below(client: S3Client, prefix: str, limit: int) -> list[str]:
    """Names of the first `limit` directory levels right below a key prefix, in byte order.

    Raises:
        StorageError: the store's pages are out of order or lead nowhere, so names may be missing.
    """
    arguments: dict[str, Any] = {"Prefix": prefix, "Delimiter": "/", "MaxKeys": _PAGE_MAX}
    found: list[str] = []
    last = ""
    for page in _pages(client, "list_objects_v2", "CommonPrefixes", _TOKEN, arguments):
        for one in page:
            level = str(one.get("Prefix", ""))
            if not level.startswith(prefix) or level <= last:
                raise _out_of_order(client)
            last = level
            found.append(level.removeprefix(prefix).rstrip("/"))
            if len(found) >= limit:
                return found
    return found


def keys_below(client: S3Client, prefix: str, start_after: str) -> Iterator[tuple[str, int]]:
    """Keys that begin with `prefix` and sort after the key `start_after`, with sizes in bytes, in byte order.

    Raises:
        StorageError: the store's pages are out of order or lead nowhere, so names may be missing.
    """
    arguments: dict[str, Any] = {"Prefix": prefix, "MaxKeys": _PAGE_MAX}
    last = start_after
    if start_after:
        arguments["StartAfter"] = start_after
    for page in _pages(client, "list_objects_v2", "Contents", _TOKEN, arguments):
        for item in page:
            key, size = item.get("Key", ""), int(item.get("Size", -1))
            if not key.startswith(prefix) or key <= last or not 0 <= size <= _OBJECT_BYTES_MAX:
                raise _out_of_order(client)
            last = key
            yield key, size


def uploads_below(client: S3Client, prefix: str) -> Iterator[Mapping[str, Any]]:
    """Uploads in parts that were begun below a key prefix and not ended, as the store tells of them.

    Raises:
        StorageError: the store's pages lead nowhere.
    """
    for page in _pages(client, "list_multipart_uploads", "Uploads", _MARKERS, {"Prefix": prefix}):
        yield from page
