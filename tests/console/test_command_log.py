"""The command log: what an operator does stands there as a line that does the same."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path
from typing import Any

from maos_ckpt.api.application import ENDPOINTS
from maos_ckpt.cli.options import COMMANDS as CLI
from maos_ckpt.cli.options import find_command, parser_for
from maos_ckpt.client import EngineClient
from maos_ckpt.model import Selection, VerifyLevel
from maos_ckpt.seams import SystemClock
from maos_ckpt_tui.command_log import ENTRIES_MAX, CommandLog
from maos_ckpt_tui.equivalents import BESIDE, EQUIVALENTS, line_of
from tests.console.real import build_lab, console

_OWN = {"start", "close", "subscribe", "hold"}
_CALLS: dict[str, dict[str, Any]] = {
    "save": {"description": "--it's a note", "tags": ("a", "-b")},
    "plan": {"name": "cp_1", "selection": Selection(records=("agents/agents/*",), exact=True)},
    "recover": {"name": "cp_1", "selection": Selection(agents=("-x",)), "digest": "d1", "reason": "-r"},
    "recover_to": {"name": "cp_1", "selection": Selection(), "to": "sqlite:/tmp/x y.db"},
    "undo": {"digest": None, "reason": "bad"},
    "rescue": {"digest": "d1", "reason": ""},
    "verify": {"names": ("cp_1", "cp_2"), "level": VerifyLevel.FULL},
    "find": {"text": "--secret", "between": ("a", "b"), "ignore_case": True},
    "drill": {"name": "latest", "scenarios": ("full-loss",)},
    "acknowledge": {"alert": "saveFailed", "snooze_s": 1800.0},
    "change_tags": {"name": "cp_1", "add": ("-t",), "remove": ("-u",)},
}


def _methods() -> set[str]:
    return {name for name, one in vars(EngineClient).items() if inspect.isfunction(one) and not name.startswith("_")}


def test_whatever_a_client_can_be_asked_has_its_command_line_and_its_request() -> None:
    requests = {f"{one.method} {one.path}" for one in ENDPOINTS if one.listed}
    assert set(EQUIVALENTS) >= _methods() - _OWN
    for name in _methods() - _OWN:
        one = EQUIVALENTS[name]
        assert one.rest in requests or (not one.rest and one.instead), f"{name}: {one.rest} is no request of the API"
        assert one.command in CLI or (one.words is None and one.instead), f"{name}: {one.command} is no command"


def test_every_line_is_one_that_the_command_line_takes() -> None:
    for name in sorted(_methods() - _OWN):
        one = EQUIVALENTS[name]
        if one.words is None:
            continue
        signature = inspect.signature(getattr(EngineClient, name))
        needed = [
            part.name for part in signature.parameters.values() if part.default is part.empty and part.name != "self"
        ]
        named = _CALLS.get(name) or {part: "text" for part in needed}
        line = line_of(name, (), named, ("--repo", "/r e/p", "--source", "maos:/x"))
        words = shlex.split(line)
        assert words[0] == "maos-ckpt"
        command, rest = find_command(words[1:])
        parsed = parser_for(command).parse(rest)
        assert command.name == one.command
        assert parsed.repo == "/r e/p"


def test_arguments_survive_the_way_to_the_command_line() -> None:
    words = shlex.split(line_of("find", ("--secret",), {"between": ("a", "b"), "ignore_case": True}))
    found = parser_for(CLI["find"]).parse(find_command(words[1:])[1])
    assert (found.text, found.between, found.ignore_case) == ("--secret", ["a", "b"], True)


def test_the_log_is_bounded_and_tells_the_newest_first() -> None:
    log = CommandLog(SystemClock())
    for number in range(ENTRIES_MAX + 5):
        log.add(f"maos-ckpt {number}", failed="no" if number % 2 else "")
    assert len(log.entries) == ENTRIES_MAX
    assert [one.outcome for one in log.entries[:2]] == ["done", "failed"]
    assert log.entries[-1].line == "maos-ckpt 5"


async def test_what_is_done_by_key_stands_in_the_log_and_can_be_copied(tmp_path: Path) -> None:
    lab = build_lab(tmp_path)
    async with console(lab.client()) as operator:
        app = operator.app
        await operator.press("L")
        await operator.sees("Nothing was asked yet")
        await operator.press("escape", "p")
        await operator.sees("is pinned")
        await operator.press("x")
        word = app.model.checkpoints[0].id
        await operator.sees("Delete checkpoint")
        await operator.type(word[-6:])
        await operator.sees("press enter")
        await operator.press("enter")
        await operator.sees("pinned", "Next:")
        await operator.press("escape", "L")
        await operator.sees("XX", f"maos-ckpt delete {word}", f"maos-ckpt pin {word}")
        await operator.press("down", "y")
        await operator.sees(f"Copied, if this terminal allows it: maos-ckpt pin {word}")
    assert [re.split(" ", one.line)[1] for one in app.command_log.entries] == ["delete", "pin"]
    assert [one.outcome for one in app.command_log.entries] == ["failed", "done"]
    assert not BESIDE & {one.line.split()[1] for one in app.command_log.entries}
