"""Transcripts and files put back: whole or not at all, nowhere else, and never under a running session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from maos_ckpt.codec.values import RAW_TEXT, RawText, encode_key
from maos_ckpt.model import CollectionKind, Descriptor, Row
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.base import FilesWritten, record_key
from maos_ckpt.sources.change import Change, align
from maos_ckpt.sources.maos.layout import Layout
from maos_ckpt.sources.maos.source import MaosSource
from maos_ckpt.sources.maos.write_files import write_files

SESSION: Final = "0b5c4a9e-8f1d-4c3a-9b7e-2f6d1a0c5e48"
FILE_KINDS: Final = (CollectionKind.LINES, CollectionKind.FILES)
Files = dict[Descriptor, dict[bytes, Row]]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    for name in ("work/.claude/agents", "work/.maos", "home/.claude/projects"):
        (tmp_path / name).mkdir(parents=True)
    found = Layout.of(tmp_path / "work", tmp_path / "home/.claude", tmp_path / "home")
    (found.projects / found.slugs[0]).mkdir()
    return found


def line(number: int, cwd: str = "/srv/my team") -> bytes:
    return json.dumps({"uuid": str(number), "cwd": cwd, "text": "x" * number}).encode() + b"\n"


def transcript(layout: Layout, name: str = SESSION) -> Path:
    return layout.projects / layout.slugs[0] / f"{name}.jsonl"


def records(layout: Layout, tmp_path: Path) -> Files:
    """The records of all files, read by the source itself."""
    found: Files = {}
    with closing(MaosSource(layout, SYSTEM, allow_missing=True).open_cut(tmp_path)) as cut:
        for descriptor in cut.descriptors():
            if descriptor.kind in FILE_KINDS:
                keys = len(descriptor.keys)
                rows = [row for batch in cut.rows(descriptor) for row in batch]
                found[descriptor] = {record_key(descriptor, row): row[keys:] for row in rows}
    return found


def changes(live: Files, wanted: Files, *, exact: bool = True) -> Iterator[Change]:
    for descriptor in sorted(live.keys() | wanted.keys(), key=lambda one: (one.kind, one.component)):
        before, after = live.get(descriptor, {}), wanted.get(descriptor, {})
        alignment = align(descriptor, descriptor)
        assert alignment is not None
        for key in sorted(before.keys() | after.keys()):
            change = alignment.change(key, before.get(key), after.get(key))
            if change is not None and (exact or change.after is not None):
                yield change


def put_back(layout: Layout, tmp_path: Path, wanted: Files, *, exact: bool = True) -> FilesWritten:
    return write_files(layout, SYSTEM, changes(records(layout, tmp_path), wanted, exact=exact), lambda done: None)


def test_files_that_changed_came_or_went_are_as_they_were_byte_for_byte(layout: Layout, tmp_path: Path) -> None:
    grown, lost, empty = transcript(layout), transcript(layout, "lost"), transcript(layout, "empty")
    grown.write_bytes(b"".join(map(line, range(1, 9))))
    lost.write_bytes(line(1) + b"\xff not text\n\n" + b"no newline at the end")
    empty.touch()
    agent, config = layout.directory / ".claude/agents/reviewer.md", layout.directory / ".maos/config.yaml"
    agent.write_text("---\nname: reviewer\n---\n")
    config.write_bytes(b"database: \xff\n")
    grown.chmod(0o640)
    wanted = records(layout, tmp_path)
    before = {path: (path.read_bytes(), path.stat().st_mode) for path in (grown, lost, empty, agent, config)}

    grown.write_bytes(grown.read_bytes() + line(9) + b'{"torn')
    grown.chmod(0o600)
    lost.unlink()
    empty.write_bytes(line(1))
    agent.unlink()
    config.write_text("spoilt")
    extra = transcript(layout, "extra")
    extra.write_bytes(line(1))
    result = put_back(layout, tmp_path, wanted)

    assert {path: (path.read_bytes(), path.stat().st_mode) for path in before} == before
    assert not extra.exists()
    assert result.skipped == ()
    assert result.files == 6
    assert result.resume_commands == (f"cd {layout.directory} && claude --resume {SESSION}",)
    assert [one.name for one in grown.parent.iterdir() if one.name.startswith(".")] == []
    assert put_back(layout, tmp_path, wanted) == FilesWritten()


def test_without_exact_files_and_lines_that_the_checkpoint_lacks_stay(layout: Layout, tmp_path: Path) -> None:
    path = transcript(layout)
    path.write_bytes(line(1) + line(2))
    wanted = records(layout, tmp_path)
    path.write_bytes(line(7) + line(2) + line(3))
    extra = transcript(layout, "extra")
    extra.write_bytes(line(1))
    put_back(layout, tmp_path, wanted, exact=False)
    assert path.read_bytes() == line(1) + line(2) + line(3)
    assert extra.exists()


def test_a_folder_that_is_gone_is_made_again(layout: Layout, tmp_path: Path) -> None:
    path = layout.projects / layout.slugs[0] / SESSION / "subagents" / "agent-1.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(line(1))
    wanted = records(layout, tmp_path)
    path.unlink()
    for folder in (path.parent, path.parent.parent, layout.projects / layout.slugs[0], layout.projects):
        folder.rmdir()
    result = put_back(layout, tmp_path, wanted)
    assert path.read_bytes() == line(1)
    assert result.resume_commands == ()
    assert layout.projects.stat().st_mode & 0o777 == 0o700


def test_doing_it_again_after_a_crash_finishes_it(layout: Layout, tmp_path: Path) -> None:
    first, second = transcript(layout), transcript(layout, "second")
    for path in (first, second):
        path.write_bytes(line(1) + line(2))
    wanted = records(layout, tmp_path)
    for path in (first, second):
        path.write_bytes(line(1) + line(5) + line(6))
    plan = list(changes(records(layout, tmp_path), wanted))
    half = [one for one in plan if one.parts[0] == f"{layout.slugs[0]}/{SESSION}.jsonl"]
    assert write_files(layout, SYSTEM, half, lambda done: None).files == 1
    result = write_files(layout, SYSTEM, plan, lambda done: None)
    assert (result.files, result.skipped) == (1, ())
    assert first.read_bytes() == second.read_bytes() == line(1) + line(2)
    assert result.resume_commands == (f"cd {layout.directory} && claude --resume {SESSION}",)


@pytest.mark.parametrize("moved", ["rewritten", "appended", "gone"])
def test_a_file_that_changed_since_the_plan_is_left_alone_and_named(layout: Layout, tmp_path: Path, moved: str) -> None:
    path = transcript(layout)
    path.write_bytes(line(1) + line(2))
    wanted = records(layout, tmp_path)
    path.write_bytes(line(1) + line(5) + line(6))
    plan = list(changes(records(layout, tmp_path), wanted))
    now = {"rewritten": line(1) + line(9) + line(6), "appended": line(1) + line(5) + line(6) + line(7), "gone": b""}[
        moved
    ]
    path.write_bytes(now)
    result = write_files(layout, SYSTEM, plan, lambda done: None)
    assert result.skipped == (
        f"claude/{layout.slugs[0]}/{SESSION}.jsonl was left alone: it changed since the plan was made.",
    )
    assert path.read_bytes() == now


def _added(root: str, path: bytes, content: bytes = b"bad\n", mode: int = 0o600) -> Change:
    name = path.decode() if path.isascii() else RawText(RAW_TEXT, path)
    if root == "claude":
        lines = Descriptor("memory", "transcripts", CollectionKind.LINES, ("path", "line"), ("text",), "claude")
        return Change(lines, encode_key((name, 1)), None, (content.decode(),), ("text",))
    files = Descriptor("system", "files", CollectionKind.FILES, ("root", "path"), ("mode", "content"), "work")
    return Change(files, encode_key((root, name)), None, (mode, content), ("mode", "content"))


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("work", b"../outside.md"),
        ("work", b".claude/agents/../../../outside.md"),
        ("work", b"/etc/passwd"),
        ("work", b".claude/agents/a/b.md"),
        ("work", b".claude/agents/\0.md"),
        ("work", b".claude/agents/" + b"x" * 260 + b".md"),
        ("work", b".git/hooks/pre-commit"),
        ("home", b".bashrc"),
        ("home", b".claude/agents/x.md"),
        ("elsewhere", b".maos.yml"),
        ("claude", b"../settings.jsonl"),
        ("claude", b"slug/settings.json"),
        ("claude", b"alone.jsonl"),
        ("claude", b"a/b/c/d/e/f/g.jsonl"),
        ("claude", b"slug//x.jsonl"),
        ("claude", b""),
    ],
)
def test_a_checkpoint_cannot_put_a_file_where_maos_keeps_none(
    layout: Layout, tmp_path: Path, root: str, path: bytes
) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = write_files(layout, SYSTEM, [_added(root, path)], lambda done: None)
    assert result.files == 0
    assert len(result.skipped) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("link", ["folder", "file"])
def test_links_are_never_followed(layout: Layout, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.md").write_text("precious")
    agents = layout.directory / ".claude/agents"
    if link == "folder":
        agents.rmdir()
        agents.symlink_to(outside)
    else:
        (agents / "x.md").symlink_to(outside / "x.md")
    result = write_files(layout, SYSTEM, [_added("work", b".claude/agents/x.md")], lambda done: None)
    assert result.files == 0
    assert "link" in result.skipped[0]
    assert (outside / "x.md").read_text() == "precious"


def test_a_folder_that_is_swapped_for_a_link_again_and_again_never_leads_out(layout: Layout, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    agents, aside = layout.directory / ".claude/agents", layout.directory / ".claude/aside"
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            # The writer makes the folder where it finds none, and then a step of this one fails.
            for step in (
                lambda: agents.rename(aside),
                lambda: agents.symlink_to(outside),
                agents.unlink,
                lambda: aside.rename(agents),
            ):
                with suppress(OSError):
                    step()

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for number in range(300):
            write_files(layout, SYSTEM, [_added("work", b".claude/agents/%d.md" % number)], lambda done: None)
    finally:
        ended.set()
        swapper.join()
    assert list(outside.iterdir()) == []


def test_setuid_bits_never_come_back_and_other_bits_do(layout: Layout) -> None:
    write_files(layout, SYSTEM, [_added("work", b".claude/agents/x.md", mode=0o6754)], lambda done: None)
    assert (layout.directory / ".claude/agents/x.md").stat().st_mode & 0o7777 == 0o754


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_puts_back_belongs_to_the_folder_s_owner(layout: Layout) -> None:
    agents = layout.directory / ".claude/agents"
    os.chown(agents, 1234, 4321)
    write_files(layout, SYSTEM, [_added("work", b".claude/agents/x.md")], lambda done: None)
    found = (agents / "x.md").stat()
    assert (found.st_uid, found.st_gid) == (1234, 4321)


def test_a_file_that_cannot_be_written_is_named_and_the_others_are_put_back(layout: Layout, tmp_path: Path) -> None:
    (layout.directory / ".maos").rmdir()
    (layout.directory / ".maos").write_text("a file where a folder should be")
    plan = [_added("work", b".maos/config.yaml"), _added("work", b".claude/agents/x.md")]
    result = write_files(layout, SYSTEM, plan, lambda done: None)
    assert result.files == 1
    assert result.skipped[0].startswith("work/.maos/config.yaml was left alone")


@contextmanager
def claude(tmp_path: Path, directory: Path, *arguments: str) -> Iterator[None]:
    """A process that looks like Claude Code on this machine."""
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir(exist_ok=True)
    program.write_text("import sys, time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, str(program), *arguments]
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


def test_the_transcript_of_a_running_session_is_left_alone_and_named(layout: Layout, tmp_path: Path) -> None:
    path, other = transcript(layout), transcript(layout, "1b5c4a9e-8f1d-4c3a-9b7e-2f6d1a0c5e48")
    for one in (path, other):
        one.write_bytes(line(1))
    wanted = records(layout, tmp_path)
    for one in (path, other):
        one.write_bytes(line(1) + line(2))
    with claude(tmp_path, tmp_path, "--resume", SESSION, "-p"):
        result = put_back(layout, tmp_path, wanted)
    assert len(result.skipped) == 1
    assert "may be writing to it" in result.skipped[0]
    assert SESSION in result.skipped[0]
    assert path.read_bytes() == line(1) + line(2)
    assert other.read_bytes() == line(1)
    assert put_back(layout, tmp_path, wanted).files == 1


def test_a_claude_without_a_session_id_keeps_what_changed_in_its_directory_since_it_began(
    layout: Layout, tmp_path: Path
) -> None:
    path, old = transcript(layout), transcript(layout, "old")
    for one in (path, old):
        one.write_bytes(line(1))
    wanted = records(layout, tmp_path)
    for one in (path, old):
        one.write_bytes(line(1) + line(2))
    past = time.time() - 3600
    os.utime(old, (past, past))
    with claude(tmp_path, layout.directory, "-p", "do it"):
        result = put_back(layout, tmp_path, wanted)
    assert len(result.skipped) == 1
    assert path.read_bytes() == line(1) + line(2)
    assert old.read_bytes() == line(1)
    # The same program elsewhere keeps nothing.
    with claude(tmp_path, tmp_path, "-p", "do it"):
        assert put_back(layout, tmp_path, wanted).skipped == ()


def test_a_transcript_that_somebody_has_open_for_writing_is_left_alone(layout: Layout, tmp_path: Path) -> None:
    path = transcript(layout)
    path.write_bytes(line(1))
    wanted = records(layout, tmp_path)
    path.write_bytes(line(1) + line(2))
    code = "import sys, time\nfile = open(sys.argv[1], sys.argv[2])\nprint('ready', flush=True)\ntime.sleep(60)"
    for mode, skipped in (("ab", 1), ("rb", 0)):
        with subprocess.Popen([sys.executable, "-c", code, str(path), mode], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            assert len(put_back(layout, tmp_path, wanted).skipped) == skipped
            process.kill()
    assert path.read_bytes() == line(1)


@pytest.mark.parametrize(
    ("cwd", "command"),
    [
        ("/srv/it's; rm -rf ~", f"""cd '/srv/it'"'"'s; rm -rf ~' && claude --resume {SESSION}"""),
        ("/srv/plain", f"cd /srv/plain && claude --resume {SESSION}"),
        ("/srv/\x1b[2Jescape", None),
        ("/srv/two\nlines", None),
        ("relative", None),
        ("-", None),
    ],
)
def test_resume_commands_are_safe_to_paste(layout: Layout, cwd: str, command: str | None) -> None:
    """Of a transcript of another directory than the MAOS's, which its last line names."""
    path = layout.projects / "-another-directory" / f"{SESSION}.jsonl"
    path.parent.mkdir()
    added = _added("claude", f"-another-directory/{path.name}".encode(), line(1, cwd))
    result = write_files(layout, SYSTEM, [added], lambda done: None)
    assert result.resume_commands == (() if command is None else (command,))
    assert path.read_bytes() == line(1, cwd)


def test_many_files_that_cannot_be_put_back_are_counted(layout: Layout) -> None:
    plan = [_added("claude", b"x%03d.jsonl" % number) for number in range(130)]
    result = write_files(layout, SYSTEM, plan, lambda done: None)
    assert len(result.skipped) == 101
    assert result.skipped[-1] == "30 more files were left alone."


def test_a_resume_command_names_a_claude_home_that_is_not_the_usual_one(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "other home/projects" / layout.slugs[0]).mkdir(parents=True)
    other = Layout.of(layout.directory, tmp_path / "other home", layout.home)
    path = transcript(other)
    path.write_bytes(line(1, "/srv/plain"))
    wanted = records(other, tmp_path)
    path.unlink()
    command = f"cd {layout.directory} && CLAUDE_CONFIG_DIR='{other.claude_home}' claude --resume {SESSION}"
    assert put_back(other, tmp_path, wanted).resume_commands == (command,)
