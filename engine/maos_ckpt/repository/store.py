"""The process that stores chunks for another one: `python -m maos_ckpt.repository.store` (see `beside`)."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from maos_ckpt.codec.compression import CHUNK_BYTES_MAX
from maos_ckpt.codec.measures import pack_measures
from maos_ckpt.codec.secret import Secret
from maos_ckpt.errors import CkptError, ConflictError
from maos_ckpt.repository.beside import ANSWER, REQUEST, Failure, Job, Sealed, enlarge_pipe
from maos_ckpt.repository.chunk_writer import ChunkWriter
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM


def main() -> int:
    """Read a job, then chunks, from standard input; answer on standard output."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    enlarge_pipe(requests)
    _, _, job_data = _read(requests) or (b"", b"", b"")
    if not job_data:
        return 0
    job = msgspec.msgpack.decode(job_data, type=Job)
    _, _, key = _read(requests) or (b"", b"", b"")
    try:
        try:
            _work(requests, answers, job, Secret("master", key) if key else None)
        except CkptError as error:
            failure = Failure(error.kind, error.message, error.kept, error.hint)
            _answer(answers, msgspec.msgpack.encode(failure), failed=True)
    except BrokenPipeError:
        # Whoever gave the job is gone; nothing was sealed.
        return 1
    return 0


def _work(requests: BinaryIO, answers: BinaryIO, job: Job, master: Secret | None) -> None:
    repository = Repository.open(Path(job.repository), SYSTEM, remote=job.remote, key=master)
    with contextlib.closing(repository):
        if repository.header.id != job.identity:
            raise ConflictError("Another repository has taken the place of this one.", kept="Nothing was stored.")
        remote = repository.remote
        with (
            contextlib.closing(repository.writer(job.settings, job.measures, job.expected_bytes)) as writer,
            contextlib.nullcontext() if remote is None else remote.hurried(),
        ):
            _serve(requests, answers, writer)


def _serve(requests: BinaryIO, answers: BinaryIO, writer: ChunkWriter) -> None:
    while request := _read(requests):
        label, predecessor, plain = request
        if not plain:
            sealed = Sealed(writer.seal(), pack_measures(writer.measures()))
            _answer(answers, msgspec.msgpack.encode(sealed))
        else:
            _answer(answers, writer.put(plain, label.decode(errors="replace"), predecessor or None).result())


def _read(requests: BinaryIO) -> tuple[bytes, bytes, bytes] | None:
    head = requests.read(REQUEST.size)
    if len(head) < REQUEST.size:
        return None
    label, predecessor, plain = REQUEST.unpack(head)
    parts = (requests.read(label), requests.read(predecessor), requests.read(min(plain, CHUNK_BYTES_MAX)))
    return parts if len(parts[2]) == plain else None


def _answer(answers: BinaryIO, data: bytes, *, failed: bool = False) -> None:
    answers.write(ANSWER.pack(failed, len(data)))
    answers.write(data)
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
