"""S3 over HTTPS, as in production: boto3 takes another path there, which several stores do not follow."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from maos_ckpt.backends.s3 import CreateMode, S3Backend
from maos_ckpt.errors import StorageError, TransientStorageError
from maos_ckpt.seams import SYSTEM
from tests.backends.proxy import Proxy, drop, proxy_before
from tests.backends.servers import Server

NAME = "manifests/000000000042"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that is its own authority, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "maos-ckpt tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def proxy(moto: Server, certificate: Path) -> Iterator[Proxy]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with proxy_before(moto.endpoint, context) as proxy:
        yield proxy


@pytest.fixture
def backend(proxy: Proxy, moto: Server) -> Iterator[S3Backend]:
    server = Server(proxy.endpoint, "test", "test", moto.bucket)
    backend = S3Backend(server.settings("tls"), SYSTEM, create_mode=CreateMode.ATOMIC)
    yield backend
    backend.close()


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))


@pytest.mark.usefixtures("trusted")
def test_bodies_are_signed_and_sent_in_one_piece(backend: S3Backend, proxy: Proxy, tmp_path: Path) -> None:
    assert backend.create(NAME, b"0123456789")
    assert backend.read(NAME, 10) == b"0123456789"
    data = os.urandom((16 << 20) + 1)
    (tmp_path / "pack").write_bytes(data)
    assert backend.create_file("packs/00/1", tmp_path / "pack", sha256=hashlib.sha256(data).hexdigest())
    assert backend.read("packs/00/1", len(data)) == data
    backend.delete(NAME)
    assert backend.size(NAME) is None
    sent = [headers for method, _, headers in proxy.seen if method == "PUT"]
    assert sorted(int(headers["Content-Length"]) for headers in sent) == [1, 10, 16 << 20]
    for headers in sent:
        assert len(headers["X-Amz-Content-SHA256"]) == 64
        assert not {"x-amz-trailer", "transfer-encoding"} & {key.lower() for key in headers}


@pytest.mark.usefixtures("trusted")
def test_a_connection_that_breaks_may_be_used_again(backend: S3Backend, proxy: Proxy) -> None:
    backend.replace(NAME, b"x")
    proxy.order("GET", NAME, drop, 1)
    with pytest.raises(TransientStorageError):
        backend.read(NAME, 10)
    assert backend.read(NAME, 10) == b"x"


def test_a_certificate_that_is_not_trusted_is_for_the_operator_to_mend(
    proxy: Proxy, moto: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    server = Server(proxy.endpoint, "test", "test", moto.bucket)
    backend = S3Backend(server.settings("tls"), SYSTEM)
    with pytest.raises(StorageError, match="certificate") as caught:
        backend.replace(NAME, b"x")
    assert not isinstance(caught.value, TransientStorageError)
    backend.close()
