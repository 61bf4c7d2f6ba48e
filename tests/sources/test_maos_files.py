"""Files beside a MAOS database: settled, bounded, and never through a link."""

from __future__ import annotations

import json
import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.codec.values import RawText
from maos_ckpt.errors import SourceError
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.maos import files, source
from maos_ckpt.sources.maos.files import FileEntry, list_files, look_at, open_file, read_settled
from tests.sources.states import TestClock, rows_of, seams_with
from tests.sources.test_maos_cut import source_in


def filled(tmp_path: Path, contents: dict[str, bytes]) -> Path:
    work = tmp_path / "work"
    for name, content in contents.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return work


def entry_of(root: Path, path: str) -> FileEntry:
    found = look_at(root, path)
    assert found is not None
    return found


def test_every_file_is_in_the_component_it_belongs_to(tmp_path: Path) -> None:
    names = {
        ".maos/config.yaml": "system",
        ".maos.yml": "system",
        ".claude/agents/reviewer.md": "system",
        "maos_storage/state_agents.json": "agents",
        "maos_storage/state_agent_pools.json": "agents",
        "maos_storage/state_tasks.json": "tasks",
        "maos_storage/state_messages.json": "queue",
        "maos_storage/state_resources.json": "system",
        "maos_storage/snapshots.json": "system",
        "maos_checkpoints/00000000-0000-4000-8000-000000000000.json": "memory",
    }
    work = filled(tmp_path, {name: b"{}" for name in names} | {"maos_storage/notes.txt": b"", "src/main.py": b"x"})
    (work / ".maos.yml").chmod(0o640)
    maos = source_in(tmp_path)
    (tmp_path / "home" / ".maos").mkdir()
    (tmp_path / "home" / ".maos" / "config.yaml").write_bytes(b"mine: 1\n")
    with closing(maos.open_cut(tmp_path)) as cut:
        found = {}
        for component in ("agents", "tasks", "memory", "queue", "system"):
            for root, path, mode, content in rows_of(cut, f"{component}/files"):
                found[root, path] = component, mode, content
    assert {str(path): found["work", path][0] for _, path in found if ("work", path) in found} == names
    assert found["work", ".maos.yml"] == ("system", 0o640, b"{}")
    assert found["home", ".maos/config.yaml"][2] == b"mine: 1\n"


def test_nothing_is_reached_through_a_link(tmp_path: Path) -> None:
    work = filled(tmp_path, {".maos.yml": b"own"})
    secret = tmp_path / "secret"
    (secret / "agents").mkdir(parents=True)
    (secret / "agents" / "secret.md").write_bytes(b"secret")
    (secret / "config.yaml").write_bytes(b"secret")
    (work / ".claude").symlink_to(secret)
    (work / ".maos").mkdir()
    (work / ".maos" / "config.yaml").symlink_to(secret / "config.yaml")
    os.mkfifo(work / ".maos" / "config.yml")
    with closing(source_in(tmp_path).open_cut(tmp_path)) as cut:
        assert [row[1] for row in rows_of(cut, "system/files")] == [".maos.yml"]
        assert [note for note in cut.notes if ".claude/agents was left out" in note]
        assert [note for note in cut.notes if ".maos/config.yaml was left out" in note]
    with open_file(work, b".claude/agents/secret.md") as fd:
        assert fd is None
    assert list_files(work, ".claude/agents", ".md") == []


def test_a_folder_that_becomes_a_link_between_listing_and_reading_leads_nowhere(tmp_path: Path) -> None:
    work = filled(tmp_path, {".claude/agents/a.md": b"own"})
    entry = list_files(work, ".claude/agents", ".md")[0]
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.md").write_bytes(b"secret")
    (work / ".claude" / "agents").rename(work / ".claude" / "before")
    (work / ".claude" / "agents").symlink_to(tmp_path / "secret")
    assert read_settled(work, entry, SYSTEM.clock) is None


def test_a_file_that_is_being_written_is_read_until_it_is_whole(tmp_path: Path) -> None:
    whole = json.dumps({"tasks": list(range(1000))}).encode()
    work = filled(tmp_path, {"maos_storage/state_tasks.json": b""})
    path = work / "maos_storage" / "state_tasks.json"

    class Writing(TestClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            # In place and in parts, as MAOS writes it.
            if path.stat().st_size < len(whole):
                path.write_bytes(whole[: path.stat().st_size + 2000])

    found = read_settled(work, entry_of(work, "maos_storage/state_tasks.json"), Writing())
    assert found is not None
    assert (found.content, found.settled) == (whole, True)


def test_a_broken_file_is_captured_as_it_is_and_said_to_be_broken(tmp_path: Path) -> None:
    filled(tmp_path, {"maos_storage/state_tasks.json": b'{"cut', ".maos.yml": b"{not json"})
    maos = source_in(tmp_path)
    with closing(maos.open_cut(tmp_path)) as cut:
        assert rows_of(cut, "tasks/files")[0][3] == b'{"cut'
        assert len(cut.notes) == 1
        assert "state_tasks.json kept changing, or is not valid JSON" in cut.notes[0]


def test_files_beyond_the_bound_are_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "FILE_BYTES_MAX", 100)
    monkeypatch.setattr(source, "FILES_BYTES_MAX", 150)
    filled(
        tmp_path,
        {".claude/agents/a.md": b"x" * 101, ".claude/agents/b.md": b"x" * 90, ".claude/agents/c.md": b"x" * 90},
    )
    with closing(source_in(tmp_path).open_cut(tmp_path)) as cut:
        found = {row[1]: row[3] for row in rows_of(cut, "system/files")}
        # Without a content, so that a recovery does not take them for files that were not there.
        assert found == {".claude/agents/a.md": None, ".claude/agents/b.md": b"x" * 90, ".claude/agents/c.md": None}
        assert [note.split(" ")[0] for note in cut.notes] == [".claude/agents/a.md", ".claude/agents/c.md"]


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FILES_MAX", 3)
    filled(tmp_path, {f".claude/agents/{n}.md": b"" for n in range(5)})
    with pytest.raises(SourceError, match="more than 3 files"):
        source_in(tmp_path).open_cut(tmp_path)


def test_names_that_are_not_utf8_are_kept_as_they_are(tmp_path: Path) -> None:
    work = filled(tmp_path, {".claude/agents/a.md": b""})
    name = b"b\xff\n.md"
    with open(os.fsencode(work / ".claude" / "agents") + b"/" + name, "wb") as file:
        file.write(b"odd")
    with closing(source_in(tmp_path).open_cut(tmp_path)) as cut:
        rows = rows_of(cut, "system/files")
    assert rows[1][1] == RawText(1, b".claude/agents/" + name)
    assert rows[1][3] == b"odd"


def test_a_file_that_changes_after_the_look_counts_in_the_skew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = filled(tmp_path, {".maos.yml": b"first"})
    real = files.read_settled

    def late(*arguments: object) -> object:
        clock.at_s += 3
        if deed:
            (work / ".maos.yml").write_bytes(b"second")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(source, "read_settled", late)
    for deed, skew_s in ((False, 0.0), (True, 3.0)):
        clock = TestClock()
        maos = source_in(tmp_path)
        maos.seams = seams_with(clock)
        with closing(maos.open_cut(tmp_path)) as cut:
            assert cut.skew_s == skew_s
            assert rows_of(cut, "system/files")[0][3] == (b"second" if deed else b"first")


def test_permission_bits_are_those_of_the_file(tmp_path: Path) -> None:
    work = filled(tmp_path, {".maos.yml": b""})
    for mode in (0o600, 0o644, 0o755):
        (work / ".maos.yml").chmod(mode)
        assert entry_of(work, ".maos.yml").mode == mode == stat.S_IMODE((work / ".maos.yml").stat().st_mode)
