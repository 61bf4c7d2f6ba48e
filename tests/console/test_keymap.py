"""Keys changed by id: checked before anything starts, and shown wherever keys are shown."""

from __future__ import annotations

import pytest

from maos_ckpt.errors import ConfigError
from maos_ckpt_tui.commands import COMMANDS
from maos_ckpt_tui.console import ConsoleApp
from maos_ckpt_tui.keymap import all_bound, keymap, keys_in_force
from maos_ckpt_tui.looks import Looks
from tests.console.frozen_client import FrozenClient
from tests.console.real import Operator


def test_every_action_and_list_movement_has_an_id_of_its_own() -> None:
    names = [one.id for one in all_bound()]
    assert len(names) == len(set(names))
    assert {one.id for one in COMMANDS} < set(names)
    assert "list.down" in names


def test_keys_are_written_as_one_types_them_or_by_name() -> None:
    found = keymap({"overview.recover": "R", "app.help": "f2, ?", "overview.filter": "ctrl+f", "app.palette": ","})
    assert found == {
        "overview.recover": "R",
        "app.help": "f2,question_mark",
        "overview.filter": "ctrl+f",
        "app.palette": "comma",
    }


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"overview.recovr": "R"}, "Did you mean overview.recover?"),
        ({"overview.recover": "d"}, "it is that of overview.diff there"),
        ({"overview.recover": "t"}, "it is that of app.next_theme there"),
        ({"overview.recover": "j"}, "it is that of list.down there"),
        ({"app.help": "r"}, "overview.recover"),
        ({"app.leave": "ctrl+q"}, "leaves or stops"),
        ({"app.help": "entre"}, "Did you mean enter?"),
        ({"app.help": "hyper+x"}, "is none"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_meant(wanted: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        keymap(wanted)
    assert says in caught.value.message


def test_two_actions_can_change_places() -> None:
    found = {one.id: one.keys for one in keys_in_force({"overview.recover": "d", "overview.diff": "r"})}
    assert (found["overview.recover"], found["overview.diff"]) == ("d", "r")
    # What is listed can be written into the configuration as it stands.
    assert keymap(found)["app.help"] == "question_mark,f1"


async def test_a_changed_key_works_and_is_shown_everywhere_and_the_old_one_does_nothing() -> None:
    changed = {"overview.recover": "R", "app.help": "f3", "overview.bars": "B"}
    app = ConsoleApp(FrozenClient(), looks=Looks(keys=keymap(changed)))
    async with app.run_test(size=(90, 30)) as pilot:
        operator = Operator(app, pilot)
        await operator.until(lambda: bool(app.model.checkpoints), "checkpoints")
        assert " R recover" in operator.screen
        await operator.press("r", "question_mark")
        assert len(app.screen_stack) == 1
        await operator.press("f3")
        await operator.sees("Help: Overview", "R      recover")
        await operator.press("escape", "colon")
        await operator.type("recover the sel")
        await operator.sees("R     recover")
        await operator.press("escape", "R")
        await operator.until(lambda: len(app.screen_stack) == 2, "the recovery")
