"""A repository's objects in an S3 bucket, of AWS or any store that speaks its protocol.

A name is taken by a conditional PUT. What leaves its outcome open (a lost answer, "412" for an object that may be our
own, a store whose condition is not atomic) is settled in one way: by reading what lies under the name.
Every object carries the SHA-256 of its bytes as metadata `sha256`, written by the same request as the bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from pathlib import Path

from maos_ckpt.backends.base import UnsupportedRequestError, check_directory, check_file, check_range, is_name
from maos_ckpt.backends.s3_errors import (
    ConditionError,
    LostAnswerError,
    answer_code,
    by_code,
    no_answer_of_s3,
)
from maos_ckpt.backends.s3_listing import folders_below, keys_below
from maos_ckpt.backends.s3_multipart import PART_BYTES, PARTS_MAX, sweep, upload
from maos_ckpt.backends.s3_objects import S3Objects, digest_of
from maos_ckpt.backends.s3_settings import S3Settings
from maos_ckpt.errors import IntegrityError, StorageError, TransientStorageError
from maos_ckpt.fs import raise_read_error
from maos_ckpt.seams import Seams

#: How long a new object is left alone before it is read back, on stores that let several writers win at once. It has
#: to outlast a PUT of a small object that was under way when ours ended.
CONFIRM_DELAY_S = 1.0
_DELETE_BATCH_MAX = 1000


class CreateMode(IntEnum):
    """What `create` does so that one writer wins; each step also does what those before it do.

    `ATOMIC`: a conditional PUT, which the store carries out atomically. `CONFIRMED`: and reads the object back after
    a while, for stores that check the condition and write in two steps. `LOOK_FIRST`: and looks whether the name is
    taken before, for stores that may ignore the condition; two writers at the same moment are then kept apart by the
    reading back alone.
    """

    ATOMIC = 1
    CONFIRMED = 2
    LOOK_FIRST = 3


class S3Backend(S3Objects):
    """Objects below one prefix of a bucket. Thread-safe; see `Backend`.

    `create_mode` starts as the most careful one and is lowered by what the probe finds (`s3_probe`).
    """

    def __init__(self, settings: S3Settings, seams: Seams, *, create_mode: CreateMode = CreateMode.LOOK_FIRST) -> None:
        super().__init__(settings)
        self.create_mode = create_mode
        self._seams = seams
        self._pool = ThreadPoolExecutor(settings.parts_at_once, thread_name_prefix="s3-part")

    def create(self, name: str, data: bytes) -> bool:
        """See `Backend.create`."""
        digest = hashlib.sha256(data).hexdigest()
        held = self._create(name, data, digest)
        if held and self.create_mode >= CreateMode.CONFIRMED:
            self._seams.clock.sleep(CONFIRM_DELAY_S)
            return self._settle(name, digest, len(data))
        return held

    def create_file(self, name: str, path: Path, *, sha256: str) -> bool:
        """See `Backend.create_file`."""
        key = self.key(name)
        try:
            size = os.stat(path).st_size
            data = path.read_bytes() if size <= PART_BYTES else b""
        except OSError as error:
            raise_read_error(error, path, name)
        if size <= PART_BYTES:
            check_file(name, sha256, hashlib.sha256(data).hexdigest())
            return self._create(name, data, sha256)
        if size > PART_BYTES * PARTS_MAX:
            raise StorageError(f"{name} is larger than S3 takes in one object.", size=size)
        there = self.compare(name, sha256, size)
        if there is not None:
            return there
        attributes = self.attributes(sha256)
        try:
            upload(
                self.client,
                self._pool,
                self._seams,
                name=name,
                key=key,
                path=path,
                sha256=sha256,
                attributes=attributes,
            )
        except (ConditionError, LostAnswerError) as error:
            return self._settle(name, sha256, size, error)
        # An upload in parts has no checksum over the whole, so its size is looked at.
        return self._settle(name, sha256, size)

    def _create(self, name: str, data: bytes, digest: str) -> bool:
        """Put an object where the name is free; whether the name holds it now."""
        key = self.key(name)
        if self.create_mode >= CreateMode.LOOK_FIRST:
            there = self.compare(name, digest, len(data))
            if there is not None:
                return there
        try:
            self.put(name, key, data, digest, IfNoneMatch="*")
        except (ConditionError, LostAnswerError) as error:
            return self._settle(name, digest, len(data), error)
        except UnsupportedRequestError:
            if self.create_mode < CreateMode.LOOK_FIRST:
                raise
            self.replace(name, data)
        return True

    def replace(self, name: str, data: bytes) -> None:
        """See `Backend.replace`."""
        try:
            self.put(name, self.key(name), data, hashlib.sha256(data).hexdigest())
        except ConditionError as error:
            raise TransientStorageError(error.message, object=name) from error

    def _settle(self, name: str, digest: str, size: int, error: ConditionError | LostAnswerError | None = None) -> bool:
        """Whether the name holds our bytes, read back from the store.

        Raises:
            TransientStorageError: the name is free, so that nothing is decided yet.
        """
        there = self.compare(name, digest, size)
        if there is not None:
            return there
        if isinstance(error, LostAnswerError):
            raise error
        raise TransientStorageError(
            f"{name} was written to {self.location} by somebody and is gone again.", object=name
        ) from error

    def size(self, name: str) -> int | None:
        """See `Backend.size`."""
        head = self.client.head(name, self.key(name))
        return None if head is None else int(head["ContentLength"])

    def read(self, name: str, bytes_max: int) -> bytes:
        """See `Backend.read`; the bytes are compared with the SHA-256 that they were written with."""
        key = self.key(name)
        # A second reading tells damage on the way from damage in the store.
        for _ in range(2):
            with self.client.get(name, key) as (head, body):
                data = body.read_all(bytes_max)
                told = digest_of(head)
            if not told or hashlib.sha256(data).hexdigest() == told:
                return data
        raise IntegrityError(f"The stored object {name} is not what was written to {self.location}.", object=name)

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """See `Backend.read_range`."""
        key = self.key(name)
        check_range(name, offset, length)
        if not length:
            return b""
        last = offset + length - 1
        try:
            with self.client.get(name, key, Range=f"bytes={offset}-{last}") as (head, body):
                covered = str(head.get("ContentRange", ""))
                if not covered.startswith(f"bytes {offset}-"):
                    raise UnsupportedRequestError(f"The store at {self.location} ignores ranges.", object=name)
                if covered.startswith(f"bytes {offset}-{last}/") and body.length == length:
                    return body.read_all(length)
        except StorageError as error:
            if error.data.get("code") not in ("InvalidRange", "HTTP 416"):
                raise
        raise IntegrityError(f"The stored object {name} ends before byte {last + 1}.", object=name)

    def entries(self, directory: str, start_after: str = "") -> Iterator[tuple[str, int]]:
        """See `Backend.entries`."""
        check_directory(directory)
        found = keys_below(self.client, f"{self._root}{directory}/", self.key(start_after) if start_after else "")
        names = ((key.removeprefix(self._root), size) for key, size in found)
        return ((name, size) for name, size in names if is_name(name))

    def folders(self, limit: int) -> list[str]:
        """Names of the first `limit` directory levels right below the prefix, whoever made them."""
        return folders_below(self.client, self._root, limit)

    def delete(self, *names: str) -> None:
        """See `Backend.delete`."""
        keys = [self.key(name) for name in names]
        for start in range(0, len(keys), _DELETE_BATCH_MAX):
            batch = keys[start : start + _DELETE_BATCH_MAX]
            try:
                self._delete_batch(batch)
            except UnsupportedRequestError:
                for key in batch:
                    self.client.call("delete_object", Key=key)

    def _delete_batch(self, keys: list[str]) -> None:
        answer = self.client.call("delete_objects", Delete={"Objects": [{"Key": key} for key in keys]})
        left = set(keys) - {item.get("Key") for item in answer.get("Deleted", [])}
        for failure in answer.get("Errors", []):
            code = answer_code(failure.get("Code"), 0)
            left.discard(failure.get("Key"))
            if code != "NoSuchKey":
                raise by_code(
                    code, 0, str(failure.get("Key", "")).removeprefix(self._root), self.location, "delete_objects"
                )
        if left:
            raise no_answer_of_s3("delete_objects", self.location)

    def sweep(self) -> int:
        """Abort uploads that crashed processes left unfinished for a day; how many. They cost space unseen."""
        return sweep(self.client, self._root, self._seams.clock.now_ms())

    def close(self) -> None:
        """See `Backend.close`."""
        self._pool.shutdown(cancel_futures=True)
        self.client.close()
