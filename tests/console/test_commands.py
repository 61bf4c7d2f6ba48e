"""One declaration per action: it has a key, a handler, a place in help and palette, and keys do not clash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import maos_ckpt_tui
from maos_ckpt_tui.commands import APP, COMMANDS, PLACES, Level, bindings_for, commands_for
from maos_ckpt_tui.console import ConsoleApp
from maos_ckpt_tui.screens.alerts import AlertsScreen
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.screens.checkpoints import CheckpointsScreen
from maos_ckpt_tui.screens.conversation import ConversationScreen
from maos_ckpt_tui.screens.detail import DetailScreen
from maos_ckpt_tui.screens.diff import DiffScreen
from maos_ckpt_tui.screens.drills import DrillsScreen
from maos_ckpt_tui.screens.events import EventsScreen
from maos_ckpt_tui.screens.explore import ExploreScreen
from maos_ckpt_tui.screens.found import FoundScreen
from maos_ckpt_tui.screens.integrity import IntegrityScreen
from maos_ckpt_tui.screens.metrics import MetricsScreen
from maos_ckpt_tui.screens.overview import OverviewScreen
from maos_ckpt_tui.screens.part_changes import PartChangesScreen
from maos_ckpt_tui.screens.plan import PlanScreen
from maos_ckpt_tui.screens.record import RecordScreen
from maos_ckpt_tui.screens.recover import RecoverScreen
from maos_ckpt_tui.screens.recovery_run import RecoveryRunScreen
from maos_ckpt_tui.screens.recovery_start import RecoveryStartScreen
from maos_ckpt_tui.screens.versions import VersionsScreen

SCREENS: list[type[ConsoleScreen]] = [
    OverviewScreen,
    CheckpointsScreen,
    DetailScreen,
    DiffScreen,
    IntegrityScreen,
    RecoveryStartScreen,
    RecoverScreen,
    PlanScreen,
    RecoveryRunScreen,
    DrillsScreen,
    MetricsScreen,
    EventsScreen,
    AlertsScreen,
    ExploreScreen,
    ConversationScreen,
    RecordScreen,
    VersionsScreen,
    FoundScreen,
    PartChangesScreen,
]
SOURCES = sorted(Path(maos_ckpt_tui.__file__).parent.rglob("*.py"))


def test_every_action_has_a_handler() -> None:
    owners = {screen.PLACE: screen for screen in SCREENS}
    for one in COMMANDS:
        owner = ConsoleApp if one.place == APP else owners[one.place]
        assert hasattr(owner, one.handler), f"{one.id} does nothing"


def test_ids_are_unique_and_keys_do_not_clash() -> None:
    assert len({one.id for one in COMMANDS}) == len(COMMANDS)
    for place in PLACES:
        keys = [
            key
            for one in (*commands_for(place), *(commands_for(APP) if place != APP else ()))
            for key in one.keys.split(",")
        ]
        assert len(keys) == len(set(keys)), f"a key means two things at {place}"


@pytest.mark.parametrize("place", PLACES)
def test_titles_fit_the_palette_and_sentences_end_with_one_dot(place: str) -> None:
    for one in commands_for(place):
        assert len(one.title) <= 42, one.id
        assert re.fullmatch(r"[^.]+\.", one.help), one.id
        assert one.binding().id == one.id
    assert len(bindings_for(place)) == len(commands_for(place))


def test_whatever_changes_something_is_marked_so() -> None:
    changing = {one.action for one in COMMANDS if one.level > Level.READ}
    assert changing == {
        "recover",
        "undo",
        "rescue",
        "resume",
        "cancel",
        "save",
        "pin",
        "tag",
        "mend",
        "delete",
        "mark",
        "mark_all",
        "exact",
        "dependencies",
        "find",
        "merge",
        "plan",
        "apply",
        "run",
        "run_all",
        "stop_engine",
        "acknowledge",
        "snooze",
    }


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_no_markup_no_data_table_no_loading_indicator(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    for banned in ("from_markup", "DataTable", "LoadingIndicator", "markup=True", "RichLog", "Static("):
        assert banned not in text, f"{source.name} uses {banned}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_files_stay_short(source: Path) -> None:
    assert len(source.read_text(encoding="utf-8").splitlines()) <= 300
