"""The events journal: whole lines, bounded size, several writers, torn ends."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maos_ckpt import journal as journals
from maos_ckpt.environment import child_environment
from maos_ckpt.events import (
    EVENT_TYPES,
    CheckpointCreated,
    CheckpointsRemoved,
    EngineStarted,
    OperationFailed,
    TicksMissed,
)
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.journal import Journal, Position, as_event, decode, encode
from maos_ckpt.seams import SYSTEM


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    (tmp_path / journals.DIRECTORY).mkdir()
    return Journal(tmp_path, SYSTEM)


def missed(number: int) -> TicksMissed:
    return TicksMissed(number, number, "test")


def numbers(entries: list[journals.Entry]) -> list[object]:
    return [fields["at_ms"] for _, fields in entries]


def test_an_event_comes_back_as_it_was_written(journal: Journal) -> None:
    event = CheckpointCreated(5, "cp_x", "manual", 3, 100, 10, 0.5, 0.1, False)
    assert journal.append(event)
    (entry,) = journal.newest_first()
    assert as_event(entry) == event


def test_tuples_come_back_as_tuples(journal: Journal) -> None:
    event = CheckpointsRemoved(5, ("cp_a", "cp_b"), 10, "retention")
    journal.append(event)
    assert [as_event(entry) for entry in journal.newest_first()] == [event]


def test_a_torn_last_line_costs_only_itself(journal: Journal) -> None:
    for number in range(3):
        journal.append(missed(number))
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-7])
    journal.append(missed(3))
    assert numbers(list(journal.newest_first())) == [3, 1, 0]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"event":"Unheard","at_ms":1}',
        b'{"event":"EngineStopped"}',
        b'{"event":"EngineStopped","at_ms":"1"}',
        b'{"event":["EngineStopped"],"at_ms":1}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"event":"EngineStopped","at_ms":1,"x":"' + b"y" * journals.LINE_BYTES_MAX + b'"}',
    ],
    ids=range(11),
)
def test_foreign_lines_are_passed_over(journal: Journal, line: bytes) -> None:
    journal.append(missed(1))
    with journal.path.open("ab") as file:
        file.write(line + b"\n")
    journal.append(missed(2))
    assert decode(line) is None
    assert numbers(list(journal.newest_first())) == [2, 1]


def test_an_entry_with_missing_fields_is_no_typed_event() -> None:
    entry = decode(b'{"event":"TicksMissed","at_ms":1}')
    assert entry is not None
    assert as_event(entry) is None


def test_an_entry_with_further_fields_is_a_typed_event() -> None:
    entry = decode(json.dumps({"event": "TicksMissed", "at_ms": 1, "count": 2, "reason": "", "new": 1}).encode())
    assert entry is not None
    assert as_event(entry) == TicksMissed(1, 2, "")


def test_size_is_bounded_by_rotation_and_the_newest_events_are_kept(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "FILE_BYTES_MAX", 2000)
    for number in range(500):
        journal.append(missed(number))
    files = sorted(journal.directory.glob("events*.jsonl"))
    assert len(files) == 1 + journals.ROTATED_FILES_MAX
    assert all(path.stat().st_size < 2100 for path in files)
    kept = numbers(list(journal.newest_first()))
    assert kept == list(range(499, 499 - len(kept), -1))
    assert len(kept) > 50


def test_a_reader_that_follows_sees_every_event_once_across_rotations(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "FILE_BYTES_MAX", 1000)
    position, seen = Position(), []
    for number in range(200):
        journal.append(missed(number))
        if number % 7 == 0:
            entries, position = journal.read(position)
            seen += numbers(entries)
    entries, position = journal.read(position)
    assert seen + numbers(entries) == list(range(200))
    assert journal.read(position)[0] == []


def test_a_reader_waits_for_the_end_of_a_half_written_line(journal: Journal) -> None:
    position = journal.end()
    line = encode(missed(1))
    journal.path.write_bytes(line[:10])
    entries, position = journal.read(position)
    assert entries == []
    with journal.path.open("ab") as file:
        file.write(line[10:])
    assert numbers(journal.read(position)[0]) == [1]


def test_a_place_behind_the_end_of_a_file_is_of_another_one(journal: Journal) -> None:
    journal.append(missed(1))
    lost = Position(journal.end().inode, 10_000)
    assert numbers(journal.read(lost)[0]) == [1]
    journal.append(missed(2))
    assert numbers(journal.read(journal.end())[0]) == []


def test_since_leaves_out_what_is_older(journal: Journal) -> None:
    for number in range(10):
        journal.append(missed(number))
    assert numbers(journal.since(7)) == [7, 8, 9]


def test_writers_in_several_processes_lose_no_line(journal: Journal, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from maos_ckpt.journal import Journal\n"
        "from maos_ckpt.events import TicksMissed\n"
        "from maos_ckpt.seams import SYSTEM\n"
        "j = Journal(Path(sys.argv[1]), SYSTEM)\n"
        "for n in range(300): assert j.append(TicksMissed(int(sys.argv[2]) * 1000 + n, n, 'x' * 50))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(one)], env=child_environment())
        for one in range(3)
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    found = numbers(list(journal.newest_first()))
    assert len(found) == 900
    assert set(found) == {one * 1000 + n for one in range(3) for n in range(300)}


def test_a_path_that_is_no_repository_stays_untouched(tmp_path: Path) -> None:
    assert not Journal(tmp_path, SYSTEM).append(missed(1))
    assert list(tmp_path.iterdir()) == []


class FullDisk(SystemFilesystem):
    def write(self, fd: int, data: bytes | memoryview) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_fails_no_operation(journal: Journal, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    full = Journal(tmp_path, dataclasses.replace(SYSTEM, fs=FullDisk()))
    assert not full.append(missed(1))
    assert "No space left" in caplog.text
    assert journal.append(missed(2))
    assert numbers(list(journal.newest_first())) == [2]


def test_endless_texts_are_cut(journal: Journal) -> None:
    journal.append(OperationFailed(1, "save", "source", "x" * 10_000_000))
    journal.append(CheckpointsRemoved(2, tuple(f"cp_{n}" for n in range(5000)), 0, "retention"))
    assert journal.path.stat().st_size < 64 << 10
    assert numbers(list(journal.newest_first())) == [2, 1]


def test_hostile_text_stays_on_its_line_and_in_ascii(journal: Journal) -> None:
    journal.append(EngineStarted(1, 'maos:/srv/\x1b]0;x\x07\n{"event":"EngineStopped","at_ms":2}\u202e\ud800', 30.0))
    assert journal.path.read_bytes().isascii()
    ((name, fields),) = journal.newest_first()
    assert name == "EngineStarted"
    assert fields["source"] == 'maos:/srv/\x1b]0;x\x07\n{"event":"EngineStopped","at_ms":2}\u202e\ud800'


def test_files_are_private(journal: Journal) -> None:
    journal.append(missed(1))
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_every_event_type_survives_the_journal(journal: Journal) -> None:
    values: dict[str, object] = {"int": 1, "str": "a", "float": 0.5, "bool": True, "tuple[str, ...]": ("a", "b")}
    values["float | None"] = None
    for cls in EVENT_TYPES.values():
        event = cls(**{field.name: values[str(field.type)] for field in dataclasses.fields(cls)})  # type: ignore[arg-type]
        journal.append(event)
        assert as_event(next(iter(journal.newest_first()))) == event
