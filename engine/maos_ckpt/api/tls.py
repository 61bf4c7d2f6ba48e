"""The server's certificate: loaded with every mistake named, and loaded anew without an interruption."""

from __future__ import annotations

import datetime
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from maos_ckpt.errors import ConfigError, PermissionRefusedError
from maos_ckpt.seams import Clock

if TYPE_CHECKING:
    from cryptography import x509

_FILE_BYTES_MAX = 1 << 20
_KEPT = "Nothing was started or changed."


def load_certificate(certificate: Path, key: Path, clock: Clock) -> ssl.SSLContext:
    """A server's context, TLS 1.2 and later.

    Args:
        certificate: PEM, the server's own first, then its chain.
        key: PEM, not encrypted; may be the same file.

    Raises:
        ConfigError: a file is missing or no PEM, the key is another certificate's or has a passphrase, or the
            certificate is not valid now.
        PermissionRefusedError: a file cannot be read.
    """
    for path in (certificate, key):
        _check_file(path)
    _check_dates(certificate, clock)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load(context, certificate, key)
    return context


def renew_certificate(context: ssl.SSLContext, certificate: Path, key: Path, clock: Clock) -> None:
    """Let connections from now on see what the files hold now; where that is wrong, all stays as it is.

    Raises: as `load_certificate`.
    """
    load_certificate(certificate, key, clock)
    _load(context, certificate, key)


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    def no_passphrase() -> NoReturn:
        # Without it OpenSSL would ask the terminal.
        raise _wrong(key, "the key has a passphrase, which an engine cannot be asked for")

    try:
        context.load_cert_chain(certificate, key, password=no_passphrase)
    except ssl.SSLError as error:
        reason = error.reason or ""
        if "KEY_VALUES_MISMATCH" in reason:
            raise _wrong(key, f"it is not the key of the certificate in {certificate}") from error
        raise _wrong(certificate, f"OpenSSL does not take it and its key ({reason or 'no PEM'})") from error


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            os.fstat(file.fileno())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise _wrong(path, "there is no such file") from error
    except OSError as error:
        raise PermissionRefusedError(
            f"{path} cannot be read: {error.strerror}.",
            kept=_KEPT,
            hint="Give this user the right to read it.",
            path=str(path),
        ) from error


def days_left(certificate: Path, clock: Clock) -> int:
    """Whole days until a certificate ends; raises as `load_certificate`."""
    return (_first(certificate).not_valid_after_utc - _now(clock)).days


def _check_dates(certificate: Path, clock: Clock) -> None:
    first, now = _first(certificate), _now(clock)
    if now > first.not_valid_after_utc:
        raise _wrong(certificate, f"the certificate ended on {first.not_valid_after_utc:%Y-%m-%d}")
    if now < first.not_valid_before_utc:
        raise _wrong(certificate, f"the certificate begins on {first.not_valid_before_utc:%Y-%m-%d}")


def _now(clock: Clock) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(clock.now_ms() / 1000, datetime.UTC)


def _first(certificate: Path) -> x509.Certificate:
    # Loaded here, since it takes a while and only servers with TLS need it.
    from cryptography import x509

    with certificate.open("rb") as file:
        data = file.read(_FILE_BYTES_MAX)
    try:
        return x509.load_pem_x509_certificates(data)[0]
    except ValueError as error:
        raise _wrong(certificate, "it holds no certificate in PEM") from error


def _wrong(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path} cannot be used for TLS: {why}.",
        kept=_KEPT,
        hint="Mend server.tls_certificate and server.tls_key.",
        path=str(path),
    )
