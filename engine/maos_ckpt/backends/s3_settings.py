"""Where an S3 repository lies and how it is spoken to; checked before anything is sent, and loaded without boto3."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from maos_ckpt.errors import ConfigError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")
#: Characters that every store and every tool takes in a key without escaping.
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*")
#: A key has at most 1,024 bytes; this leaves room for the longest object name.
_PREFIX_BYTES_MAX = 700
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ADDRESSING = ("auto", "path", "virtual")
_ENCRYPTION = ("", "AES256", "aws:kms", "aws:kms:dsse")
_BUCKET_HINT = "A bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens."
CONNECT_TIMEOUT_S = 10.0
#: Parts of a large object under way at once, unless configured.
PARTS_AT_ONCE = 5
#: Longest silence on a connection, not the length of a transfer.
READ_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class S3Settings:
    """An S3 bucket and prefix, and how to reach it.

    What is "" is left to boto3's ordinary chain: environment, shared files, profile, container or instance role.

    Args:
        prefix: key prefix without slashes at its ends.
        endpoint_url: `http(s)://host[:port]` of a store other than AWS.
        addressing_style: `auto`, `path` (`host/bucket/key`) or `virtual` (`bucket.host/key`).
        server_side_encryption: "", `AES256`, `aws:kms` or `aws:kms:dsse`; `kms_key_id` names the key of the last two.
        storage_class: as the store names it; one whose objects need a restore request first cannot be used.
        parts_at_once: parts of a large object that are uploaded at once.

    Raises:
        ConfigError: a value that cannot be right.
    """

    bucket: str
    prefix: str = ""
    region: str = ""
    endpoint_url: str = ""
    profile: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    addressing_style: str = "auto"
    server_side_encryption: str = ""
    kms_key_id: str = ""
    storage_class: str = ""
    parts_at_once: int = PARTS_AT_ONCE
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    read_timeout_s: float = READ_TIMEOUT_S

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.bucket) or ".." in self.bucket:
            raise ConfigError(
                "storage.s3.bucket is not the name of a bucket.", hint=_BUCKET_HINT, value=self.bucket[:100]
            )
        _check_prefix(self.prefix)
        _check_endpoint(self.endpoint_url)
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ConfigError(
                "storage.s3 has one of access_key_id and secret_access_key without the other.",
                hint="Set both, or none of them to use AWS_ACCESS_KEY_ID, a profile or a role.",
            )
        if self.region and not _WORD.fullmatch(self.region):
            raise ConfigError(
                "storage.s3.region is not the name of a region.",
                hint="Write it as eu-central-1, or leave it out.",
                value=self.region[:100],
            )
        if self.addressing_style not in _ADDRESSING:
            raise ConfigError(f"storage.s3.addressing_style is one of {', '.join(_ADDRESSING)}.")
        if self.server_side_encryption not in _ENCRYPTION:
            raise ConfigError("storage.s3.server_side_encryption is one of AES256, aws:kms and aws:kms:dsse.")
        if self.kms_key_id and not self.server_side_encryption.startswith("aws:kms"):
            raise ConfigError("storage.s3.kms_key_id needs server_side_encryption aws:kms.")
        if self.storage_class.upper() in ("GLACIER", "DEEP_ARCHIVE"):
            raise ConfigError(
                f"Objects of the storage class {self.storage_class} cannot be read at once.",
                hint="Choose GLACIER_IR or a warmer class.",
            )
        if self.connect_timeout_s <= 0 or self.read_timeout_s <= 0:
            raise ConfigError("Time-outs of storage.s3 are more than 0 seconds.")

    @property
    def location(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def parse_url(url: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://BUCKET[/PREFIX]`.

    Raises:
        ConfigError: it is not of that form.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not _BUCKET.fullmatch(bucket):
        shown = _without_user(url)[:200]
        raise ConfigError(
            f"{shown} does not have the form s3://BUCKET/PREFIX.",
            kept="Nothing was changed.",
            hint="Credentials do not belong there." if shown != url[:200] else _BUCKET_HINT,
            value=shown,
        )
    prefix = prefix.rstrip("/")
    _check_prefix(prefix)
    return bucket, prefix


def _check_prefix(prefix: str) -> None:
    plain = not prefix or (_PREFIX.fullmatch(prefix) and len(prefix) <= _PREFIX_BYTES_MAX)
    if not plain or any(part in (".", "..") for part in prefix.split("/")):
        raise ConfigError(
            "The prefix in the bucket (storage.s3.prefix) is not a plain one.",
            kept="Nothing was changed.",
            hint="Use letters, digits and -_.!*'() in parts separated by single slashes.",
            value=prefix[:100],
        )


def _check_endpoint(url: str) -> None:
    if not url:
        return
    form = "storage.s3.endpoint_url does not have the form http(s)://HOST[:PORT]."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(form) from error
    if "@" in url:
        raise ConfigError("storage.s3.endpoint_url holds credentials.", hint="Set access_key_id and secret_access_key.")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or port == 0:
        # What stands behind a question mark may be a signature.
        raise ConfigError(form, value=re.split(r"[?#]", url)[0][:200])


def _without_user(url: str) -> str:
    """A URL without what stands before an @, and behind a question mark or #."""
    return re.sub(r"^((?:s3|https?)://)?.*@", r"\1…@", re.split(r"[?#]", url)[0])
