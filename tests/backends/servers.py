"""Real S3 servers for the tests: moto's in a process of its own, and whichever one the environment names."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from maos_ckpt.backends.s3_settings import S3Settings

_START_S = 60.0
_MOTO = Path(__file__).with_name("moto_in_turn.py")
#: Names of a second server: `tests/backends/second_s3.sh` starts one and prints these.
VARIABLES = "MAOS_CKPT_TEST_S3_ENDPOINT", "MAOS_CKPT_TEST_S3_ACCESS_KEY", "MAOS_CKPT_TEST_S3_SECRET_KEY"


@dataclass(frozen=True)
class Server:
    """An S3 endpoint with a bucket of its own for this run."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str

    def settings(self, prefix: str, **others: str | float) -> S3Settings:
        values: dict[str, str | float] = {
            "endpoint_url": self.endpoint,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
        }
        return S3Settings(bucket=self.bucket, prefix=prefix, **(values | others))  # type: ignore[arg-type]

    def make_bucket(self) -> Server:
        client = self.client()
        client.create_bucket(Bucket=self.bucket)
        client.close()
        return self

    def client(self) -> Any:
        """boto3's client of this server; the caller closes it."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        )


@contextmanager
def moto_server(log: Path) -> Iterator[Server]:
    """moto's server on a free port of the loopback; its objects are held in memory and end with it."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", str(_MOTO), "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait(endpoint, process, log)
        yield Server(endpoint, "test", "test", "maos-test").make_bucket()
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + _START_S
    while True:
        try:
            urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=5).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise AssertionError(f"moto did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.05)


def second_server() -> Server | None:
    """The server that the environment names, or None."""
    endpoint, access_key, secret_key = (os.environ.get(name, "") for name in VARIABLES)
    if not endpoint:
        return None
    return Server(endpoint, access_key, secret_key, f"maos-test-{os.urandom(4).hex()}").make_bucket()
