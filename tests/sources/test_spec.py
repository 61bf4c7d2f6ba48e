"""Specs of sources, as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from maos_ckpt.errors import CkptError, ExitCode, SourceError, UsageError
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.spec import default_spec, open_source
from tests.sources.states import make_rows


def opened(spec: str, *, allow_missing: bool = False) -> Source:
    return open_source(spec, claude_home=Path("~/.claude"), seams=SYSTEM, allow_missing=allow_missing)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_specs_become_absolute_and_free_of_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "team").mkdir()
    make_rows(tmp_path / "team" / "maos.db", 1)
    (tmp_path / "link").symlink_to(tmp_path / "team")
    monkeypatch.chdir(tmp_path)
    assert opened("maos:team").spec == f"maos:{tmp_path}/team"
    assert opened("maos:./link/").spec == f"maos:{tmp_path}/team"
    assert opened("sqlite:link/maos.db").spec == f"sqlite:{tmp_path}/team/maos.db"
    assert opened("maos:team").token() == opened("maos:link").token() != b""


def test_a_tilde_is_the_home_directory(home: Path) -> None:
    make_rows(home / "x.db", 1)
    assert opened("sqlite:~/x.db").spec == f"sqlite:{home}/x.db"


def test_the_working_directory_is_the_default_where_it_holds_a_maos(tmp_path: Path) -> None:
    assert default_spec(tmp_path) is None
    make_rows(tmp_path / "maos.db", 1)
    assert default_spec(tmp_path) == f"maos:{tmp_path}"


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("dir:/srv", "no dir: sources yet"),
        ("redis://localhost:6379/0", "no redis: sources yet"),
        ("postgresql://user:secret@host/db", "no postgresql: sources yet"),
        ("provider:a:b", "program of its own"),
        ("sqllite:x.db", "nearest is 'sqlite'"),
        ("MAOS:.", "nearest is 'maos'"),
        ("postgres://user:secret@host/db", "nearest is 'postgresql'"),
        ("mysql://user:secret@host/db", "There is no kind of source|nearest"),
        ("gopher:x", "There is no kind of source 'gopher'"),
        ("/srv/maos.db", "names no kind"),
        ("", "names no kind"),
        ("maos:", "names no path"),
        ("sqlite:a\0b", "names no path"),
    ],
)
def test_other_specs_are_a_wrong_call_that_names_what_would_be_right(spec: str, match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        opened(spec)
    error = caught.value
    assert "maos:DIR, sqlite:PATH or provider:MODULE:ATTR" in error.hint
    assert error.exit_code is ExitCode.USAGE
    assert "secret" not in error.message + str(error.data)


def test_what_is_not_there_is_unavailable_unless_it_is_to_be_made(tmp_path: Path) -> None:
    for spec in (f"sqlite:{tmp_path}/none.db", f"maos:{tmp_path}/none"):
        with pytest.raises(SourceError, match="does not exist") as caught:
            opened(spec)
        assert caught.value.exit_code is ExitCode.UNAVAILABLE
        source = opened(spec, allow_missing=True)
        cut = source.open_cut(tmp_path)
        assert sum(len(batch) for one in cut.descriptors() for batch in cut.rows(one)) == 0
        cut.close()


def test_the_wrong_kind_of_thing_is_told_with_the_right_kind_of_spec(tmp_path: Path) -> None:
    make_rows(tmp_path / "x.db", 1)
    with pytest.raises(SourceError, match="is a file, not a MAOS") as caught:
        opened(f"maos:{tmp_path}/x.db")
    assert "sqlite:PATH" in caught.value.hint
    with pytest.raises(SourceError, match="not a regular file") as caught:
        opened(f"sqlite:{tmp_path}")
    assert "maos:DIR" in caught.value.hint


def test_a_loop_of_links_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for spec in (f"sqlite:{tmp_path}/a", f"maos:{tmp_path}/a"):
        with pytest.raises(CkptError):
            opened(spec)
