"""A database that is no database any more is built anew, and the damaged file is kept."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.errors import ConflictError, NotFoundError, SourceError
from maos_ckpt.model import Selection, Severity, Trigger
from maos_ckpt.operations import checkpoints, recoveries
from maos_ckpt.recovery import journal
from maos_ckpt.sources.sqlite.fence import create_fence
from tests.recovery.conftest import Site, kinds
from tests.sources.states import HOLD_OPEN, another_process


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all\n" * 300)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def torn_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(10)
        file.write(b"\xff" * 40)


def odd_page_size(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(16)
        file.write(b"\x03\x07")


def malformed_pages(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


def cut_off(path: Path) -> None:
    os.truncate(path, 8192)


DEEDS = [garbage, emptied, torn_header, odd_page_size, malformed_pages, cut_off]


def aside(site: Site) -> list[Path]:
    return sorted(site.database.parent.glob("maos.db.damaged-*"))


@pytest.mark.parametrize("deed", DEEDS)
def test_whatever_the_damage_the_plan_says_it_and_applying_it_keeps_the_file(
    site: Site, deed: Callable[[Path], None]
) -> None:
    kept = site.save()
    site.database.chmod(0o640)
    deed(site.database)
    ruins = site.database.read_bytes()
    made = site.plan()
    (finding,) = (one for one in made.findings if one.kind == "damaged")
    assert "built anew" in finding.message
    assert site.database.read_bytes() == ruins
    assert aside(site) == []
    done = site.recover(digest=made.digest)
    assert (done.applied, done.verified, done.partial) == (True, True, False)
    assert site.agents() == ["Ada", "Bob"]
    assert stat.S_IMODE(site.database.stat().st_mode) == 0o640
    (moved,) = aside(site)
    assert moved.read_bytes() == ruins
    assert any(str(moved) in note for note in done.notes)
    assert site.save().digest == kept.digest


def test_log_and_journal_go_aside_with_the_damaged_file_and_stay_beside_it(site: Site) -> None:
    site.save()
    garbage(site.database)
    for ending in ("-wal", "-shm", "-journal"):
        site.database.with_name(f"maos.db{ending}").write_bytes(ending.encode())
    done = site.recover()
    moved = aside(site)
    assert [one.name.removeprefix(moved[0].name) for one in moved] == ["", "-journal", "-shm", "-wal"]
    assert [one.read_bytes() for one in moved[1:]] == [b"-journal", b"-shm", b"-wal"]
    assert all(any(str(one) in note for note in done.notes) for one in moved)
    assert site.agents() == ["Ada", "Bob"]


def test_a_process_that_has_the_file_open_for_writing_is_named_and_nothing_is_touched(site: Site) -> None:
    site.save()
    with another_process(HOLD_OPEN.replace("os.O_RDONLY", "os.O_RDWR"), site.database):
        garbage(site.database)
        with pytest.raises(ConflictError, match=r"damaged .* open for writing") as caught:
            site.recover()
        assert "End that process" in caught.value.hint
        assert site.plan().running
    assert site.database.read_bytes().startswith(b"not a database")
    assert aside(site) == []
    assert journal.pending(site.workspace.repository) == ""
    assert site.recover().verified


def test_a_lock_or_a_missing_right_is_no_damage(site: Site) -> None:
    site.save()
    site.run("DELETE FROM agents")
    with closing(site.connect()) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceError, match="locked"):
            site.recover()
    assert aside(site) == []


def test_a_part_that_holds_nothing_of_the_database_leaves_the_damaged_file_alone(site: Site) -> None:
    path = site.transcript("one", "{}")
    site.save()
    path.unlink()
    garbage(site.database)
    selection = Selection(records=("memory/transcript*/*",))
    made = site.plan(selection=selection)
    assert "stays as it is" in next(one.message for one in made.findings if one.kind == "damaged")
    assert site.recover(selection=selection).verified
    assert path.read_text() == "{}\n"
    assert aside(site) == []
    assert site.database.read_bytes().startswith(b"not a database")


def test_taking_it_back_says_what_it_cannot_do_and_does_the_rest(site: Site) -> None:
    site.save()
    garbage(site.database)
    site.recover()
    (moved,) = aside(site)
    planned = site.undo_plan()
    (finding,) = (one for one in planned.findings if one.kind == "damaged")
    assert str(moved) in finding.message
    assert finding.severity is Severity.WARNING
    assert not any("pragma" in one.message for one in planned.findings)
    undone = site.undo(planned.digest)
    assert (undone.applied, undone.verified) == (True, True)
    assert "damaged" in kinds(undone.plan.findings)
    assert site.run("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'") == []
    assert moved.exists()
    again = site.undo()
    assert (again.applied, again.verified) == (True, True)
    assert site.agents() == ["Ada", "Bob"]


def test_a_crash_before_the_new_file_stands_is_forgotten_and_one_after_it_is_finished(site: Site) -> None:
    path = site.transcript("one", "{}")
    site.transcript("two", "{}")
    kept = site.save()
    garbage(site.database)
    site.recover()
    folder = site.workspace.repository / "recovery"
    intent = json.loads((folder / "last.json").read_text())
    assert intent["builds"] is True
    (folder / "last.json").unlink()
    path.unlink()
    # As it would be left: the intent is noted, the file does not stand yet, the damaged one is aside already.
    (folder / "intent.json").write_text(json.dumps(intent))
    site.database.rename(site.database.with_name("maos.db.kept"))
    with pytest.raises(SourceError):
        site.save()
    assert not (folder / "intent.json").exists()
    assert not path.exists()
    assert site.database.exists()
    # And this way: the file stands, with the mark of the recovery, and the files were still to follow.
    site.database.with_name("maos.db.kept").rename(site.database)
    with closing(site.connect()) as connection:
        create_fence(connection, intent["id"], expires_at_s=0)
    (folder / "intent.json").write_text(json.dumps(intent))
    assert site.save().digest == kept.digest
    assert path.read_text() == "{}\n"


def test_a_new_file_is_as_readable_as_sqlite_would_have_made_it(site: Site) -> None:
    kept = site.save()
    for mask, mode in ((0o027, 0o640), (0o022, 0o644)):
        site.database.unlink()
        old = os.umask(mask)
        try:
            site.recover(kept.id)
        finally:
            os.umask(old)
        assert stat.S_IMODE(site.database.stat().st_mode) == mode


def test_what_root_puts_back_belongs_to_the_owner_of_its_folder(site: Site) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give files away")
    site.save()
    site.database.unlink()
    os.chown(site.layout.directory, 65534, 65534)
    site.recover()
    assert (site.database.stat().st_uid, site.database.stat().st_gid) == (65534, 65534)


def test_nothing_to_take_back_after_a_plan_only(site: Site) -> None:
    site.save()
    garbage(site.database)
    site.plan()
    with pytest.raises(NotFoundError):
        site.undo_plan()


def test_any_sqlite_file_is_built_anew_the_same_way(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "any.db"
    site.database.rename(path)
    workspace = dataclasses.replace(site.workspace, source=f"sqlite:{path}", repository=tmp_path / "other")
    kept = checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda step: None)
    garbage(path)
    done = recoveries.recover(workspace, "latest", Selection(), None, "", 10, lambda step: None)
    assert (done.applied, done.verified) == (True, True)
    assert len(list(tmp_path.glob("any.db.damaged-*"))) == 1
    assert checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda step: None).digest == kept.digest
