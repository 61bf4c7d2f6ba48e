"""Transcripts: byte for byte, cut at one instant, and only their new lines read the next time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maos_ckpt.codec.values import RawText, encode_key
from maos_ckpt.model import Row
from maos_ckpt.sources.base import MEMO_BYTES_MAX
from maos_ckpt.sources.maos import transcripts as module
from maos_ckpt.sources.maos.layout import Layout
from maos_ckpt.sources.maos.transcripts import UNREAD_LINE, Transcripts, list_transcripts
from maos_ckpt.sources.memo import FileMark, Memo

LATER_NS = 10**18 * 9
Lines = dict[tuple[bytes, int], bytes]


def layout_in(tmp_path: Path) -> Layout:
    (tmp_path / "work").mkdir(exist_ok=True)
    layout = Layout.of(tmp_path / "work", tmp_path / "claude", tmp_path)
    (layout.projects / layout.slugs[0]).mkdir(parents=True, exist_ok=True)
    return layout


def cut_of(layout: Layout, now_ns: int = LATER_NS) -> Transcripts:
    return Transcripts(layout.projects, list_transcripts(layout), now_ns)


def text_bytes(value: object) -> bytes:
    return bytes(value.data) if isinstance(value, RawText) else str(value).encode()


def as_lines(batches: Iterator[list[Row]]) -> Lines:
    found: Lines = {}
    for path, line, text in (row for batch in batches for row in batch):
        assert isinstance(line, int)
        found[text_bytes(path), line] = text_bytes(text)
    return found


def joined(lines: Lines) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for (path, _), text in sorted(lines.items()):
        found[path] = found.get(path, b"") + text
    return found


def on_disk(layout: Layout) -> dict[bytes, bytes]:
    folder = layout.projects / layout.slugs[0]
    files = [one for one in sorted(folder.rglob("*.jsonl")) if one.stat().st_size]
    return {os.fsencode(one.relative_to(layout.projects)): one.read_bytes() for one in files}


CONTENTS = [
    b"",
    b"\n",
    b"{}\n",
    b"{}",
    b'{"a":1}\n{"b":2}\n',
    b"first\n\nthird without end",
    b"carriage\r\nreturn\rinside\n",
    b"nul \0 and \xff bytes\n\xfe",
    "line\u2028separator\u0085next\n".encode(),
]


def test_lines_put_together_are_the_files_byte_for_byte(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    folder = layout.projects / layout.slugs[0]
    for number, content in enumerate(CONTENTS):
        (folder / f"{number}.jsonl").write_bytes(content)
    (folder / "sub" / "agents").mkdir(parents=True)
    (folder / "sub" / "agents" / "x.jsonl").write_bytes(b"deep\n")
    (folder / "not.json").write_bytes(b"something else")
    cut = cut_of(layout)
    lines = as_lines(cut.rows())
    assert joined(lines) == on_disk(layout)
    assert [path for path, _ in cut.file_rows()] == sorted(path for path, _ in cut.file_rows())  # type: ignore[type-var]
    assert len(cut.file_rows()) == len(CONTENTS) + 1, "an empty file is there, too"
    keys = [encode_key(row[:2]) for batch in cut.rows() for row in batch]
    assert keys == sorted(set(keys))


def test_what_is_appended_after_the_cut_is_not_in_it(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    path = layout.projects / layout.slugs[0] / "a.jsonl"
    path.write_bytes(b"one\ntw")
    cut = cut_of(layout)
    with open(path, "ab") as file:
        file.write(b"o\nthree\n")
    assert joined(as_lines(cut.rows())) == {os.fsencode(path.relative_to(layout.projects)): b"one\ntw"}


@pytest.mark.parametrize("deed", ["shorter", "replaced", "gone", "linked"])
def test_a_file_that_is_not_only_appended_to_costs_its_own_lines_and_says_so(tmp_path: Path, deed: str) -> None:
    layout = layout_in(tmp_path)
    path, other = (layout.projects / layout.slugs[0] / name for name in ("a.jsonl", "b.jsonl"))
    path.write_bytes(b"one\ntwo\n")
    other.write_bytes(b"three\n")
    cut = cut_of(layout)
    if deed == "shorter":
        os.truncate(path, 3)
    elif deed == "replaced":
        shutil.copy(path, path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)
    else:
        path.rename(path.with_suffix(".moved"))
        if deed == "linked":
            path.symlink_to(path.with_suffix(".moved"))
    rows = [row for batch in cut.rows() for row in batch]
    slug = layout.slugs[0]
    assert rows == [(f"{slug}/a.jsonl", UNREAD_LINE, None), (f"{slug}/b.jsonl", 1, "three\n")]
    (note,) = cut.notes
    assert note.startswith(f"{slug}/a.jsonl: it was cut, replaced or removed")
    marks = cut.marks
    if deed in ("shorter", "replaced"):
        # The next cut reads all of it again, and takes the mark away.
        path.write_bytes(b"one\ntwo\n")
        (changed,) = cut_of(layout).changed_ranges(marks) or []
        assert [row[2] for row in changed.rows] == ["one\n", "two\n"]
        assert changed.high > encode_key((f"{slug}/a.jsonl", UNREAD_LINE))


def test_a_file_that_can_no_longer_be_read_keeps_the_lines_that_are_known(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    path = layout.projects / layout.slugs[0] / "a.jsonl"
    path.write_bytes(b"one\ntwo\n")
    first = cut_of(layout)
    list(first.rows())
    with open(path, "ab") as file:
        file.write(b"three\n")
    second = cut_of(layout)
    path.rename(path.with_suffix(".away"))
    (unread,) = second.changed_ranges(first.marks) or []
    assert unread.low == encode_key((f"{layout.slugs[0]}/a.jsonl", 3))
    assert [row[1:] for row in unread.rows] == [(UNREAD_LINE, None)]
    path.with_suffix(".away").rename(path)
    (known,) = cut_of(layout).changed_ranges(second.marks) or []
    assert [row[1:] for row in known.rows] == [(3, "three\n")]


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    folder = layout.projects / layout.slugs[0]
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(b"secret\n")
    (folder / "link.jsonl").symlink_to(secret)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "inner.jsonl").write_bytes(b"secret\n")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "pipe.jsonl")
    assert list_transcripts(layout) == []


def test_a_giant_line_is_cut_into_pieces_that_make_it_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_BYTES_MAX", 10)
    layout = layout_in(tmp_path)
    path = layout.projects / layout.slugs[0] / "a.jsonl"
    path.write_bytes("short\nä".encode() * 2 + "ä".encode() * 40 + b"\nend\n")
    cut = cut_of(layout)
    assert joined(as_lines(cut.rows())) == on_disk(layout)
    with open(path, "ab") as file:
        file.write(b"y" * 35)
    after = cut_of(layout)
    assert after.changed_ranges(cut.marks) is not None


def test_a_folder_by_the_older_rule_for_names_is_found_too(tmp_path: Path) -> None:
    work = tmp_path / "a_b.c"
    work.mkdir()
    layout = Layout.of(work, tmp_path / "claude", tmp_path)
    today, older = layout.slugs
    assert today == older.replace("_", "-").replace(".", "-")
    for slug in (today, older):
        (layout.projects / slug).mkdir(parents=True)
        (layout.projects / slug / "x.jsonl").write_bytes(slug.encode())
    assert set(joined(as_lines(cut_of(layout).rows())).values()) == {today.encode(), older.encode()}


def apply(lines: Lines, cut: Transcripts, marks: list[FileMark] | None) -> Lines:
    """What a tree does with the ranges of a cut."""
    ranges = cut.changed_ranges(marks)
    assert ranges is not None
    keyed = {encode_key((path.decode(), line)): (path, line) for path, line in lines}
    found = dict(lines)
    last = b""
    for one in ranges:
        assert last <= one.low <= one.high, "in order, and apart"
        last = one.high
        for key, name in keyed.items():
            if one.low <= key < one.high:
                del found[name]
        for path, line, text in one.rows:
            assert isinstance(line, int)
            assert one.low <= encode_key((path, line)) < one.high
            found[text_bytes(path), line] = text_bytes(text)
    return found


PIECES = st.sampled_from([b"", b"a", b"\n", b"line\n", b"{}\n{}\n", b"torn", b"\xff\n", b"x" * 300 + b"\n"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "rewrite", "cut", "remove", "copy"]), st.integers(0, 2), PIECES),
    max_size=5,
)


@given(rounds=st.lists(STEPS, min_size=1, max_size=4), fresh=st.booleans())
@settings(max_examples=150, deadline=None)
def test_ranges_applied_to_the_last_lines_give_the_present_ones(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, int, bytes]]], fresh: bool
) -> None:
    layout = layout_in(tmp_path_factory.mktemp("t"))
    folder = layout.projects / layout.slugs[0]
    (folder / "0.jsonl").write_bytes(b"one\ntwo\nthr")
    cut = cut_of(layout, 0 if fresh else LATER_NS)
    lines = as_lines(cut.rows())
    memo = Memo(transcripts=cut.marks).encode()
    tick_ns = 10**18
    for steps in rounds:
        for deed, number, piece in steps:
            path = folder / f"{number}.jsonl"
            if deed == "remove":
                path.unlink(missing_ok=True)
            elif deed == "rewrite" or not path.exists():
                path.write_bytes(piece)
            elif deed == "append":
                with open(path, "ab") as file:
                    file.write(piece)
            elif deed == "cut":
                os.truncate(path, path.stat().st_size // 2)
            else:  # as a recovery does: same bytes, another inode
                shutil.copy(path, folder / "next")
                os.replace(folder / "next", path)
            if path.exists():
                tick_ns += 10**9
                os.utime(path, ns=(tick_ns, tick_ns))
        cut = cut_of(layout, tick_ns if fresh else LATER_NS)
        decoded = Memo.decode(memo)
        assert decoded is not None
        lines = apply(lines, cut, decoded.transcripts)
        assert joined(lines) == on_disk(layout)
        assert lines == as_lines(cut_of(layout).rows())
        memo = Memo(transcripts=cut.marks).encode()


def test_an_appended_line_costs_one_record_and_an_unchanged_file_none(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    folder = layout.projects / layout.slugs[0]
    for number in range(3):
        (folder / f"{number}.jsonl").write_bytes(b"line\n" * 1000)
    cut = cut_of(layout)
    list(cut.rows())
    assert cut_of(layout).changed_ranges(cut.marks) == []
    with open(folder / "1.jsonl", "ab") as file:
        file.write(b"new\n")
    ranges = cut_of(layout).changed_ranges(cut.marks)
    assert ranges is not None
    assert [[row[1:] for row in one.rows] for one in ranges] == [[(1001, "new\n")]]


def test_marks_are_only_kept_when_every_file_has_been_read_to_its_end(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    folder = layout.projects / layout.slugs[0]
    for number in range(3):
        (folder / f"{number}.jsonl").write_bytes(b"line\n" * 1000)
    cut = cut_of(layout)
    assert cut.marks is None
    next(cut.rows())
    assert cut.marks is None
    list(cut.rows())
    assert cut.marks is not None
    assert len(cut.marks) == 3
    assert cut_of(layout).changed_ranges(None) is None


def test_changes_too_large_to_hold_ask_for_a_full_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RANGES_BYTES_MAX", 1000)
    layout = layout_in(tmp_path)
    path = layout.projects / layout.slugs[0] / "a.jsonl"
    path.write_bytes(b"line\n" * 1000)
    cut = cut_of(layout)
    list(cut.rows())
    with open(path, "ab") as file:
        file.write(b"x" * 900)
    assert cut_of(layout).changed_ranges(cut.marks) is not None
    with open(path, "ab") as file:
        file.write(b"x" * 200)
    assert cut_of(layout).changed_ranges(cut.marks) is None


@given(data=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_a_memo_of_garbage_is_no_memo(data: bytes) -> None:
    decoded = Memo.decode(data)
    assert decoded is None or isinstance(decoded, Memo)
    good = Memo(database=b"d", transcripts=[], files={"memory/files": b"x" * 32}).encode()
    assert Memo.decode(good[: len(data)]) is None or len(data) >= len(good)
    for one in (data + good, good + data or b"\0", b"\x91" * 100_000):
        assert Memo.decode(one) is None or one == good


def test_a_memo_stays_within_its_bound(tmp_path: Path) -> None:
    marks = [FileMark(b"p" * 4000, 1, 1, 1, 1, 1, b"d" * 32) for _ in range(2000)]
    data = Memo(database=b"d", transcripts=marks).encode()
    assert len(data) <= MEMO_BYTES_MAX
    assert Memo.decode(data) == Memo(database=b"d")
    assert Memo.decode(b"\0" * (MEMO_BYTES_MAX + 1)) is None
