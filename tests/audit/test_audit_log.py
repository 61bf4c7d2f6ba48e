"""The audit log: chained entries, what is done to them afterwards, crashes, rotation."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from maos_ckpt.audit import entries
from maos_ckpt.audit import log as logs
from maos_ckpt.audit.check import check
from maos_ckpt.audit.entries import decode_anchor, line_hash
from maos_ckpt.audit.log import Act, AuditLog
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.model import Severity
from maos_ckpt.seams import SYSTEM, Seams


def log_at(path: Path, seams: Seams = SYSTEM) -> AuditLog:
    for name in ("journal", "tmp"):
        (path / name).mkdir(parents=True, exist_ok=True)
    return AuditLog(path, seams)


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """A log that begins and then has five acts: entries 1 to 6."""
    made = log_at(tmp_path)
    for number in range(5):
        assert made.record(Act("restore", "done", reason=f"reason {number}", digest="d" * 64, about=["cp_a"]))
    return made


def problems(log: AuditLog, severity: Severity = Severity.ERROR, *, elsewhere: bool = False) -> list[str]:
    return [one.message for one in check(log, {}, elsewhere=elsewhere) if one.severity is severity]


def edit(log: AuditLog, change: object) -> None:
    """Rewrite the only file of the log, line by line."""
    (segment,) = log.segments()
    lines = log.path(segment).read_bytes().splitlines(keepends=True)
    log.path(segment).write_bytes(b"".join(change(lines)))  # type: ignore[operator]


def test_entries_tell_who_did_what_and_each_names_the_one_before(log: AuditLog) -> None:
    lines = list(log.lines())
    first, *rest = [entries.decode(line) for line in lines]
    assert first is not None
    assert (first.verb, first.seq, first.before, first.detail) == ("new chain", 1, "", "")
    for number, entry in enumerate(rest):
        assert entry is not None
        assert entry.before == line_hash(lines[number])
        assert (entry.seq, entry.reason, entry.verb) == (number + 2, f"reason {number}", "restore")
        assert (entry.who.uid, entry.who.pid, entry.who.host) == (os.getuid(), os.getpid(), os.uname().nodename)
    assert check(log, {}, elsewhere=False) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: [*x[:2], x[2].replace(b"reason 1", b"reason X"), *x[3:]], "entry 3 is not what was written"),
        (lambda x: [*x[:-1], x[-1].replace(b"reason 4", b"reason X")], "entry 6 is not the one"),
        (lambda x: [*x[:3], *x[4:]], "entries 4 to 4 are gone"),
        (lambda x: x[1:], "entries 1 to 1 are gone"),
        (lambda x: [*x[:2], x[3], x[2], *x[4:]], "entry 3 stands after entry 4"),
        (lambda x: x[:-1], "entries 6 to 6 are cut off its end"),
        (lambda x: [*x[:2], b"not an entry\n", *x[3:]], "after entry 2 cannot be read"),
        (lambda x: [], "entries 1 to 6 are cut off its end"),
    ],
)
def test_what_is_done_to_the_log_is_found_and_the_next_entry_names_it(log: AuditLog, change: object, told: str) -> None:
    edit(log, change)
    assert any(told in one for one in problems(log)), problems(log)
    log.begin_anew("; ".join(problems(log)))
    assert problems(log) == []
    assert any(told in one for one in problems(log, Severity.WARNING))
    log.record(Act("delete", "done"))
    assert problems(log) == []


def test_a_log_cut_off_is_not_continued_as_if_nothing_had_been(log: AuditLog) -> None:
    edit(log, lambda lines: lines[:-2])
    written = log.record(Act("delete", "done"))
    assert written is not None
    assert written.seq == 8, "behind entry 7, which begins a new chain behind the lost entries 5 and 6"
    assert problems(log) == []
    assert [one for one in problems(log, Severity.WARNING) if "does not end with entry 6" in one]


def test_damage_that_a_chain_named_is_an_error_again_once_it_changes(log: AuditLog) -> None:
    (segment,) = log.segments()
    edit(log, lambda lines: [*lines[:2], lines[2].replace(b"reason 1", b"reason X"), *lines[3:]])
    log.begin_anew("an entry was changed")
    assert problems(log) == []
    path = log.path(segment)
    path.write_bytes(path.read_bytes().replace(b"reason X", b"reason Y"))
    assert problems(log)


def test_a_head_that_is_gone_or_not_what_was_written_is_found(log: AuditLog) -> None:
    head = log.directory / "head.json"
    head.write_bytes(head.read_bytes().replace(b'"seq":6', b'"seq":5'))
    assert problems(log)
    head.unlink()
    assert problems(log)
    log.record(Act("delete", "done"))
    assert problems(log) == []
    head.unlink()
    assert problems(log), "a chain that began before does not cover what came after it"


def test_the_anchors_of_manifests_show_a_cut_whose_head_was_forged(log: AuditLog, tmp_path: Path) -> None:
    anchor = decode_anchor(log.anchor())
    assert anchor is not None
    shorter = log_at(tmp_path / "forged")
    edit(log, lambda lines: lines[:-2])
    # What somebody would do who knows the format: make the head fit the shortened log.
    (segment,) = log.segments()
    lines = log.path(segment).read_bytes().splitlines()
    head = log.head()
    assert head is not None
    logs.LocalBackend(tmp_path, SYSTEM).replace(
        "journal/audit/head.json",
        logs.with_checksum(
            json.dumps(
                {
                    "log": head.log,
                    "first": 1,
                    "first_before": "",
                    "seq": 4,
                    "hash": line_hash(lines[-1]),
                    "segment": 1,
                    "size": sum(len(line) + 1 for line in lines),
                }
            ).encode()
        ),
    )
    assert problems(log) == []
    (found,) = check(log, {"cp_b": anchor}, elsewhere=False)
    assert "entry 6, which cp_b names, is gone" in found.message
    log.record(Act("delete", "done"))
    log.record(Act("delete", "done"))
    (found,) = check(log, {"cp_b": anchor}, elsewhere=False)
    assert "entry 6, which cp_b names, is another" in found.message
    (found,) = check(shorter, {"cp_b": anchor}, elsewhere=False)
    assert (found.severity, "is not here" in found.message) == (Severity.ERROR, True)
    (found,) = check(shorter, {"cp_b": anchor}, elsewhere=True)
    assert found.severity is Severity.WARNING


@pytest.mark.parametrize(
    "wrong", [{"log": "x"}, {"hash": ""}, {"seq": -1}, {"seq": 10**30}, {"segment": 10**17}, {"size": 10**17}]
)
def test_a_head_that_claims_what_cannot_be_fails_neither_a_save_nor_the_next_entry(
    log: AuditLog, tmp_path: Path, wrong: dict[str, object]
) -> None:
    known = json.loads((log.directory / "head.json").read_bytes())
    known.pop("checksum")
    forged = logs.with_checksum(json.dumps(known | wrong).encode())
    logs.LocalBackend(tmp_path, SYSTEM).replace("journal/audit/head.json", forged)
    log.anchor()
    assert problems(log)
    assert log.record(Act("delete", "done"))
    assert problems(log) == []


def test_files_of_others_in_the_folder_change_nothing(log: AuditLog) -> None:
    for name in ("7.jsonl", "000000000001.json", "notes.jsonl"):
        (log.directory / name).write_text("not ours")
    assert log.record(Act("delete", "done"))
    assert check(log, {}, elsewhere=False) == []


def test_a_file_of_nothing_but_line_feeds_is_looked_at_in_one_pass(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(log, lambda lines: [lines[0], b"\n" * 20_000, *lines[1:]])
    listed: list[AuditLog] = []
    real = AuditLog.segments

    def counted(self: AuditLog) -> list[int]:
        listed.append(self)
        return real(self)

    monkeypatch.setattr(AuditLog, "segments", counted)
    assert any("after entry 1 cannot be read" in one for one in problems(log))
    assert len(listed) < 10


class Crash(Exception):
    """The process ends here."""


class CrashingFilesystem(SystemFilesystem):
    """Writes that stop after some bytes, or a rename that never comes."""

    def __init__(self, *, torn: int | None = None, renames: bool = True) -> None:
        self.torn, self.renames = torn, renames

    def write(self, fd: int, data: bytes | memoryview) -> None:
        super().write(fd, data if self.torn is None else data[: self.torn])
        if self.torn is not None:
            raise Crash

    def publish(self, temporary: Path, final: Path, *, replace: bool) -> bool:
        if not self.renames:
            raise Crash
        return super().publish(temporary, final, replace=replace)


@pytest.mark.parametrize("fs", [CrashingFilesystem(torn=40), CrashingFilesystem(renames=False)])
def test_a_crash_at_any_step_of_an_entry_is_no_finding_and_the_chain_goes_on(
    log: AuditLog, tmp_path: Path, fs: SystemFilesystem
) -> None:
    crashing = log_at(tmp_path, Seams(SYSTEM.clock, SYSTEM.random, fs, SYSTEM.processes))
    with pytest.raises(Crash):
        crashing.record(Act("undo", "done"))
    assert check(log, {}, elsewhere=False) == []
    written = log.record(Act("delete", "done"))
    assert written is not None
    assert written.seq == (7 if fs.torn else 8)  # type: ignore[attr-defined]
    assert check(log, {}, elsewhere=False) == []


def test_files_are_put_aside_and_the_oldest_go_without_breaking_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "SEGMENT_BYTES_MAX", 1500)
    monkeypatch.setattr(logs, "SEGMENTS_MAX", 3)
    log, anchors = log_at(tmp_path), {}
    for number in range(40):
        log.record(Act("prune", "done", reason=str(number)))
        anchors[f"cp_{number}"] = decode_anchor(log.anchor())
    assert len(log.segments()) == 3
    assert log.segments()[0] > 1
    assert [one.reason for one in log.newest_first()][:2] == ["39", "38"]
    assert check(log, {name: one for name, one in anchors.items() if one}, elsewhere=False) == []
    log.path(log.segments()[0]).unlink()
    assert problems(log)


def test_a_storage_that_refuses_fails_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = log_at(tmp_path)
    (log.directory).write_text("in the way")
    assert log.record(Act("delete", "done")) is None
    assert "not in the audit log" in caplog.text
    assert AuditLog(tmp_path / "nowhere", SYSTEM).record(Act("delete", "done")) is None
    assert not (tmp_path / "nowhere").exists()


def _write_many(path: Path, count: int) -> None:
    for _ in range(count):
        log_at(path).record(Act("prune", "done"))


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(tmp_path, 20)) for _ in range(3)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    log = log_at(tmp_path)
    assert check(log, {}, elsewhere=False) == []
    assert len(list(log.lines())) == 61


@pytest.mark.parametrize("unit", ["\x1b]0;owned\x07\n\ud800", "\x01", "😀"], ids=["mixed", "escaped", "wide"])
def test_an_entry_stays_within_its_bound_whatever_it_is_told(log: AuditLog, unit: str) -> None:
    hostile = unit * 5000
    written = log.record(Act("drill", "done", hostile, hostile, "", [hostile] * 1000))
    assert written is not None
    assert max(map(len, log.lines())) < entries.LINE_BYTES_MAX
    assert check(log, {}, elsewhere=False) == []
