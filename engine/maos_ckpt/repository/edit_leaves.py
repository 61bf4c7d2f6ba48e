"""The process that edits leaves for a save: `python -m maos_ckpt.repository.edit_leaves` (see `leaf_editor`)."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from maos_ckpt.codec.secret import Secret
from maos_ckpt.environment import collect_less_often
from maos_ckpt.errors import CkptError
from maos_ckpt.repository.beside import Job, enlarge_pipe
from maos_ckpt.repository.chunk_writer import LocalChunkWriter
from maos_ckpt.repository.leaf_editor import LENGTH, READY, Answer, Question
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.tree.leaf_edits import edit_leaf
from maos_ckpt.tree.nodes import Entry

_questions = msgspec.msgpack.Decoder(Question)


def main() -> int:
    """Read a job, a key, then questions, from standard input; answer on standard output."""
    collect_less_often()
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    enlarge_pipe(questions)
    job_data, key = _read(questions), _read(questions)
    if job_data is None or key is None:
        return 0
    job = msgspec.msgpack.decode(job_data, type=Job)
    # Whoever asks edits its leaves itself where this process says nothing, and meets whatever is wrong then.
    with contextlib.suppress(BrokenPipeError, CkptError):
        _work(questions, answers, job, Secret("master", key) if key else None)
    return 0


def _work(questions: BinaryIO, answers: BinaryIO, job: Job, master: Secret | None) -> None:
    repository = Repository.open(Path(job.repository), SYSTEM, remote=job.remote, key=master)
    with contextlib.closing(repository):
        if repository.header.id != job.identity:
            return
        remote = repository.remote
        with (
            contextlib.closing(repository.local_writer(job.settings, job.measures, job.expected_bytes)) as writer,
            contextlib.nullcontext() if remote is None else remote.hurried(),
        ):
            _answer(answers, READY)
            while (question := _read(questions)) is not None:
                answer = None
                with contextlib.suppress(CkptError):
                    answer = _edited(repository, writer, _questions.decode(question))
                _answer(answers, msgspec.msgpack.encode(answer))


def _edited(repository: Repository, writer: LocalChunkWriter, question: Question) -> Answer | None:
    entry = Entry(0, question.key, question.id, question.count, 0, 0)
    edited = edit_leaf(repository.chunks, entry, question.changes)
    chunk = None if edited is None else writer.prepare(edited.plain, question.id)
    if edited is None or chunk is None:
        return None
    return Answer(chunk, edited.key, edited.last_key, edited.records, edited.logical_bytes, edited.noted)


def _read(questions: BinaryIO) -> bytes | None:
    head = questions.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    data = questions.read(length)
    return data if len(data) == length else None


def _answer(answers: BinaryIO, data: bytes) -> None:
    answers.write(LENGTH.pack(len(data)) + data)
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
