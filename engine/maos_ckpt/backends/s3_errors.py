"""What a failed S3 request means for an operator: one table from boto3's errors and S3's codes to this project's.

No text of the store's gets into a message: error bodies repeat access keys and whatever a proxy chose to say.
"""

from __future__ import annotations

import datetime
import email.utils
import re
from collections.abc import Mapping
from typing import Any

import urllib3.exceptions
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from maos_ckpt.backends.base import UnsupportedRequestError
from maos_ckpt.errors import (
    CkptError,
    ConflictError,
    MissingObjectError,
    PermissionRefusedError,
    StorageError,
    TransientStorageError,
)

_KEPT = "Every checkpoint committed before is untouched."
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")
#: The store did not carry the request out, and asks for patience.
_LATER = {
    "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "Throttling", "ThrottlingException",
    "RequestLimitExceeded", "BandwidthLimitExceeded", "TooManyRequests", "RequestThrottled", "OperationAborted",
    "RequestTimeout", "XMinioServerNotInitialized",
}  # fmt: skip
#: The bytes that arrived were not the bytes that were sent.
_GARBLED = {"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "XAmzContentChecksumMismatch"}
_CREDENTIALS = {
    "AccessDenied", "AllAccessDisabled", "AccountProblem", "AuthorizationQueryParametersError", "ExpiredToken",
    "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "NotSignedUp",
    "SignatureDoesNotMatch", "TokenRefreshRequired", "UnrecognizedClientException", "InvalidSecurity",
    "KMS.AccessDeniedException", "KMS.DisabledException",
}  # fmt: skip
_FULL = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "EntityTooLarge", "InsufficientCapacity"}
_REGION = {
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "TemporaryRedirect",
}
_SKEW = {"RequestTimeTooSkewed", "RequestExpired"}
#: What boto3 stumbles over an answer with that is not formed as it expects.
MISREAD = (ValueError, TypeError, AttributeError, LookupError)
_BROKEN_OFF = (
    boto.HTTPClientError, boto.ConnectionError, boto.IncompleteReadError, ResponseParserError,
    urllib3.exceptions.HTTPError, OSError,
)  # fmt: skip
_UNSUPPORTED = {"NotImplemented", "MethodNotAllowed", "MissingContentMD5"}


class LostAnswerError(TransientStorageError):
    """The request may have been carried out: it was sent, and no answer came that says so."""


class ConditionError(ConflictError):
    """The store refused a conditional request because its condition does not hold (412), or not yet (409)."""


def translate(error: Exception, operation: str, name: str, location: str) -> CkptError:
    """The error to raise for what boto3 raised in `operation` (its method's name) on the object `name`."""
    if isinstance(error, boto.ClientError):
        return _refused(error.response, operation, name, location)
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return PermissionRefusedError(
            f"There are no credentials for {location}.",
            kept=_KEPT,
            hint="Set storage.s3.access_key_id and secret_access_key, a profile, or AWS_ACCESS_KEY_ID.",
        )
    if isinstance(error, boto.CredentialRetrievalError | boto.TokenRetrievalError | boto.NoAuthTokenError):
        return PermissionRefusedError(
            f"The credentials for {location} could not be fetched.", kept=_KEPT, hint="Sign in again, then retry."
        )
    if isinstance(error, boto.ProfileNotFound):
        return PermissionRefusedError(
            f"The profile for {location} is not in boto3's files.", kept=_KEPT, hint="Correct storage.s3.profile."
        )
    if isinstance(error, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return StorageError(
            f"The certificate of the store at {location} is not trusted.",
            kept=_KEPT,
            hint="Name the authority's certificate in AWS_CA_BUNDLE, or correct storage.s3.endpoint_url.",
        )
    if isinstance(error, boto.EndpointConnectionError | boto.ConnectTimeoutError | boto.ProxyConnectionError):
        return TransientStorageError(
            f"The store at {location} cannot be reached.",
            kept=_KEPT,
            hint="Check storage.s3.endpoint_url, the network and the proxy.",
        )
    if isinstance(error, boto.ReadTimeoutError):
        return LostAnswerError(
            f"The store at {location} does not answer.",
            kept=_KEPT,
            hint="Check the network and the store; it is asked again later.",
            object=name,
        )
    if isinstance(error, _BROKEN_OFF):
        return LostAnswerError(
            f"The store at {location} broke off ({type(error).__name__}).", kept=_KEPT, hint="Try again.", object=name
        )
    if isinstance(error, RecursionError):
        # boto3 follows every redirect to a region with a question that may be redirected, too.
        return StorageError(
            f"The store at {location} redirects without end.",
            kept=_KEPT,
            hint="Set storage.s3.region to the bucket's region, and look at storage.s3.endpoint_url.",
        )
    if isinstance(error, MISREAD) and operation != "connect":
        return no_answer_of_s3(operation, location)
    return StorageError(
        f"A request to {location} cannot be made with this configuration ({type(error).__name__}).",
        kept=_KEPT,
        hint="Check storage.s3 with `maos-ckpt config check`.",
    )


def no_answer_of_s3(operation: str, location: str) -> LostAnswerError:
    """For an answer that no S3 store gives, such as a proxy's page that says "200 OK"."""
    return LostAnswerError(
        f"What answered for {location} is not an S3 store.",
        kept=_KEPT,
        hint="Check storage.s3.endpoint_url and any proxy on the way.",
        operation=operation,
    )


def told_time(meta: Mapping[str, Any]) -> datetime.datetime | None:
    """The `Date` of an answer (its `ResponseMetadata`), or None where it has none that can be read."""
    try:
        told = email.utils.parsedate_to_datetime(meta.get("HTTPHeaders", {}).get("date") or "")
        # A proxy may write anything: no time zone, or a year that has no place in one.
        return (told if told.tzinfo else told.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None


def missing(name: str, location: str) -> MissingObjectError:
    """For an object that the store says it does not have."""
    return MissingObjectError(f"The stored object {name} is missing in {location}.", object=name)


def answer_code(code: object, status: int) -> str:
    """S3's word for an error, or its HTTP status where it is not a word that S3 would say."""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else f"HTTP {status}"


def by_code(code: str, status: int, name: str, location: str, operation: str = "") -> CkptError:
    """The error for one S3 error code; `status` 0 where it stands inside an answer and has none of its own.

    `operation` is boto3's name of what was asked for, such as `delete_objects`.
    """
    if code in _LATER or status in (429, 503):
        return TransientStorageError(f"The store at {location} asks to slow down ({code}).", kept=_KEPT, code=code)
    if code in _GARBLED:
        return TransientStorageError(f"An upload to {location} arrived garbled ({code}).", kept=_KEPT, code=code)
    if code in _CREDENTIALS or status in (401, 403, 407):
        return PermissionRefusedError(
            f"The store at {location} refuses the credentials or the right ({code}{_asked(operation)}).",
            kept=_KEPT,
            hint="It takes s3:GetObject, PutObject, DeleteObject, AbortMultipartUpload, ListBucket and "
            "ListBucketMultipartUploads.",
            code=code,
        )
    if code == "NoSuchKey":
        return missing(name, location)
    if code == "NoSuchBucket":
        return StorageError(
            f"The bucket of {location} does not exist.",
            kept="Nothing was changed.",
            hint="Create the bucket, or correct storage.s3.bucket and endpoint_url.",
            code=code,
        )
    if code in _UNSUPPORTED or status in (405, 411, 501):
        return UnsupportedRequestError(f"The store at {location} does not know this request ({code}).", code=code)
    if code in _FULL or status == 507:
        return StorageError(
            f"The store at {location} takes no more ({code}).", kept=_KEPT, hint="Raise its quota, or prune.", code=code
        )
    if status >= 500 or code in ("InternalError", "NoSuchUpload"):
        return LostAnswerError(f"The store at {location} failed ({code}).", kept=_KEPT, hint="Try again.", code=code)
    return StorageError(
        f"The store at {location} refuses a request ({code}).",
        kept=_KEPT,
        hint="Run `maos-ckpt doctor` to see what this store can do.",
        code=code,
        status=status,
    )


def _refused(response: Mapping[str, Any], operation: str, name: str, location: str) -> CkptError:
    meta = response.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode", 0))
    code = answer_code(response.get("Error", {}).get("Code"), status)
    if status in (409, 412) and code not in _LATER:
        return ConditionError(f"{name} is not as the request to {location} supposed ({code}).", code=code)
    if status == 404 and operation == "head_object":
        # A HEAD has no body to say whether the object or the bucket is missing; the caller asks on with a GET.
        return missing(name, location)
    if status == 404 and code.startswith("HTTP"):
        return no_answer_of_s3(operation, location)
    if code in _SKEW:
        return _skewed(meta, location)
    if code in _REGION or status == 301:
        region = meta.get("HTTPHeaders", {}).get("x-amz-bucket-region") or response.get("Error", {}).get("Region")
        known = isinstance(region, str) and re.fullmatch(r"[a-z0-9-]{1,40}", region)
        return StorageError(
            f"The bucket of {location} is in another region{f', {region}' if known else ''}.",
            kept="Nothing was changed.",
            hint=f"Set storage.s3.region{f' to {region}' if known else ''}.",
            code=code,
        )
    return by_code(code, status, name, location, operation)


def _asked(operation: str) -> str:
    return f", asked for {operation.title().replace('_', '')}" if operation else ""


def _skewed(meta: Mapping[str, Any], location: str) -> StorageError:
    told = told_time(meta)
    return StorageError(
        f"The clock of this machine is too far from that of the store at {location}.",
        kept=_KEPT,
        hint="Set this machine's clock.",
        store_time=told.isoformat() if told else None,
    )
