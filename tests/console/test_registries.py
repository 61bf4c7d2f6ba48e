"""Four registries, one set of actions: what the console does by key can be found in its palette, on the command line
and in the REST API, and nothing can be asked of an engine that the console does not offer."""

from __future__ import annotations

import pytest

from maos_ckpt.api.application import ENDPOINTS
from maos_ckpt.api.methods import METHODS, OWN
from maos_ckpt.api.openapi import document
from maos_ckpt.cli.options import COMMANDS as CLI
from maos_ckpt_tui.commands import COMMANDS, Command, Level
from maos_ckpt_tui.commands.asks import CONSOLE_ONLY
from maos_ckpt_tui.equivalents import BESIDE, EQUIVALENTS

#: Commands about the program's own installation, which a console cannot be about while it runs.
CLI_ONLY = {
    "audit": "who changed what: for auditors, beside the journal that the console shows",
    "config": "is read before the console opens",
    "demo": "opens a console of its own",
    "doctor": "finds out why an engine or console does not start",
    "key": "asks for passphrases, which no screen is to hold",
    "prune": "the engine applies retention by itself",
    "unpin": "is the same key as pin, pressed again",
    "token": "shows a secret once, on the terminal of who may have it",
}
#: Requests about requests, and what machines read.
REST_ONLY = {
    "DELETE /plans/{digest}": "a plan that is left is forgotten by itself",
    "GET /drills/{id}": "the list has them whole",
    "GET /events": "the console hears them all the time",
    "GET /health": "for load balancers",
    "GET /openapi.json": "for programmers",
    "GET /operations": "requests that go on",
    "GET /operations/current": "in the status, and on the operation line",
    "GET /operations/{id}": "requests that go on",
    "GET /plans": "plans of other clients",
    "GET /plans/{digest}": "plans of other clients",
    "GET /recovery/status": "in the journal, and on the screen of the recovery",
    "GET /tiers": "in the status",
    "GET /trends": "in the metrics",
    "POST /recovery": "plan and apply in one; a person is shown the plan",
}
#: Asked by the console beside what an operator asks for, or not on a screen at all.
NOT_BY_KEY = {
    "checkpoint": "when a recovery refers to one that the list does not hold",
    "recommend": "when a recovery begins",
    "recover_to": "names a place that does not exist yet, for a script: `maos-ckpt restore ID --to`",
}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.id)
def test_an_action_has_its_command_its_request_and_its_place_in_the_palette(command: Command) -> None:
    asks = command.asks
    if asks is None:
        assert command.action in CONSOLE_ONLY, f"say in commands/asks.py what {command.id} asks of the engine"
        assert command.level is Level.READ, f"{command.id} changes something, so it can be done elsewhere, too"
        return
    for method in asks:
        one = EQUIVALENTS[method]
        assert (one.command in CLI and one.rest) or one.instead, f"{command.id} cannot be done elsewhere"
    if asks:
        assert command.in_palette or command.action == "mark", f"{command.id} is not in the palette"


def test_whatever_an_engine_can_be_asked_is_offered_by_the_console() -> None:
    offered = {method for one in COMMANDS for method in one.asks or ()}
    assert set(METHODS) - offered - OWN - BESIDE - set(NOT_BY_KEY) == set()


def test_every_command_of_the_command_line_is_offered_or_said_to_be_its_own() -> None:
    offered = {one.command for one in EQUIVALENTS.values()}
    assert set(CLI) - offered == set(CLI_ONLY)


def test_every_request_of_the_api_is_offered_or_said_to_be_its_own() -> None:
    paths = document(ENDPOINTS, "")["paths"]
    requests = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    offered = {EQUIVALENTS[name].rest for name in METHODS if name not in OWN | BESIDE and EQUIVALENTS[name].rest}
    offered |= {EQUIVALENTS[name].rest for name in BESIDE & set(EQUIVALENTS)}
    assert offered <= requests
    assert requests - offered == set(REST_ONLY) - offered
