"""What an engine can be asked, as one types it and as one sends it: for each method of `EngineClient` the line of
`maos-ckpt` and the request of the REST API that do the same."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from maos_ckpt.cli.parser import PROGRAM
from maos_ckpt.cli.selecting import option, words_of
from maos_ckpt.client import EngineClient
from maos_ckpt.model import Selection


@dataclass(frozen=True, slots=True)
class Equivalent:
    """`words` makes the command line of a call's arguments by name; `rest` is method and path below the API's prefix,
    and `instead` says what to do where there is no such line or request."""

    words: Callable[[dict[str, Any]], list[str]] | None
    rest: str = ""
    instead: str = ""

    @property
    def command(self) -> str:
        """The command of `maos-ckpt`, without arguments; empty where there is none."""
        return "" if self.words is None else self.words(_SAMPLE)[0]


class _Sample(dict[str, Any]):
    """Arguments enough for learning a command's name."""

    def __missing__(self, key: str) -> Any:
        return ""


_SAMPLE = _Sample(
    selection=Selection(),
    only=Selection(),
    names=(),
    tags=(),
    add=(),
    remove=(),
    scenarios=(),
    between=None,
    pinned=True,
)


def _applied(a: dict[str, Any]) -> list[str]:
    plan = ["--plan", a["digest"]] if a["digest"] else []
    return [*plan, *option("--reason", [a["reason"]] if a["reason"] else []), "--yes"]


def _save(a: dict[str, Any]) -> list[str]:
    described = option("--message", [a["description"]] if a["description"] else [])
    return ["save", *described, *option("--tag", a["tags"])]


def _recover_to(a: dict[str, Any]) -> list[str]:
    dry = ["--dry-run"] if a["dry_run"] else []
    return ["restore", a["name"], *words_of(a["selection"]), *option("--to", [a["to"]]), *dry, "--yes"]


def _resume(a: dict[str, Any]) -> list[str]:
    return ["rescue", *option("--agent", [a["agent"]]), *option("--at", [a["at"]] if a["at"] else []), "--dry-run"]


def _records(a: dict[str, Any]) -> list[str]:
    component = option("--component", [a["component"]] if a["component"] else [])
    return ["records", a["name"], *component, *option("--record", [a["record"]] if a["record"] else [])]


def _find(a: dict[str, Any]) -> list[str]:
    between = ["--between", *a["between"]] if a["between"] else []
    component = option("--component", [a["component"]] if a["component"] else [])
    return ["find", *between, *component, *(["--ignore-case"] if a["ignore_case"] else []), *_free(a["text"])]


def _verify(a: dict[str, Any]) -> list[str]:
    return ["verify", *(a["names"] or ["--all"]), "--level", getattr(a["level"], "value", "standard")]


def _tag(a: dict[str, Any]) -> list[str]:
    return ["tag", *option("--remove", a["remove"]), *_free(a["name"], *a["add"])]


def _acknowledge(a: dict[str, Any]) -> list[str]:
    if a["snooze_s"]:
        return ["alerts", "snooze", a["alert"], "--for", f"{float(a['snooze_s']):.0f}s"]
    return ["alerts", "ack", a["alert"]]


def _free(*words: str) -> list[str]:
    """Words that are no options, whatever they begin with."""
    return ["--", *words] if any(one.startswith("-") for one in words) else [*words]


#: Method of `EngineClient` → what does the same.
EQUIVALENTS: dict[str, Equivalent] = {
    "status": Equivalent(lambda a: ["status"], "GET /status"),
    "checkpoints": Equivalent(lambda a: ["list"], "GET /checkpoints"),
    "checkpoint": Equivalent(lambda a: ["show", a["name"]], "GET /checkpoints/{id}"),
    "save": Equivalent(_save, "POST /checkpoints"),
    "records": Equivalent(_records, "GET /checkpoints/{id}/records"),
    "history": Equivalent(lambda a: ["history", *_free(a["key"])], "GET /history"),
    "export": Equivalent(lambda a: ["export", a["name"], *option("--to", [a["to"]])], "GET /checkpoints/{id}/export"),
    "diff": Equivalent(lambda a: ["diff", a["before"], a["after"]], "GET /diff"),
    "plan": Equivalent(lambda a: ["restore", a["name"], *words_of(a["selection"]), "--dry-run"], "POST /plans"),
    "recover": Equivalent(
        lambda a: ["restore", a["name"], *words_of(a["selection"]), *_applied(a)], "POST /plans/{digest}/apply"
    ),
    "recover_to": Equivalent(_recover_to, "POST /recovery"),
    "undo_plan": Equivalent(lambda a: ["undo", *words_of(a["only"]), "--dry-run"], "POST /recovery/undo"),
    "undo": Equivalent(lambda a: ["undo", *words_of(a["only"]), *_applied(a)], "POST /recovery/undo"),
    "cancel_recovery": Equivalent(None, "POST /recovery/cancel", "Ctrl-C in the `maos-ckpt restore` that runs it"),
    "rescue_plan": Equivalent(lambda a: ["rescue", "--dry-run"], "POST /plans"),
    "rescue": Equivalent(lambda a: ["rescue", *_applied(a)], "POST /plans/{digest}/apply"),
    "resume_point": Equivalent(_resume, "", "`maos-ckpt --connect ADDRESS rescue --agent ID`"),
    "processes": Equivalent(lambda a: ["ps"], "GET /processes"),
    "verify": Equivalent(_verify, "POST /checkpoints/{id}/validate"),
    "drill": Equivalent(
        lambda a: ["drill", a["name"], *option("--scenario", a["scenarios"]),
                   *option("--reason", [a["reason"]] if a["reason"] else [])],
        "POST /drills",
    ),
    "drills": Equivalent(lambda a: ["drill", "--history"], "GET /drills"),
    "find": Equivalent(_find, "GET /find"),
    "recommend": Equivalent(lambda a: ["guide", *([a["name"]] if a["name"] else [])], "GET /recommendation"),
    "set_pinned": Equivalent(lambda a: ["pin" if a["pinned"] else "unpin", a["name"]], "PATCH /checkpoints/{id}"),
    "change_tags": Equivalent(_tag, "PATCH /checkpoints/{id}"),
    "integrity": Equivalent(lambda a: ["status"], "GET /integrity"),
    "repair": Equivalent(
        lambda a: ["verify", "--all", "--repair", "--level", getattr(a["level"], "value", "standard")],
        "POST /integrity/repair",
    ),
    "cancel_verification": Equivalent(None, "POST /integrity/cancel", "Ctrl-C in the `maos-ckpt verify` that runs it"),
    "delete": Equivalent(lambda a: ["delete", a["name"], "--yes"], "DELETE /checkpoints/{id}"),
    "metrics": Equivalent(lambda a: ["metrics", "--hours", str(a["hours"])], "GET /metrics"),
    "alerts": Equivalent(lambda a: ["alerts"], "GET /alerts"),
    "acknowledge": Equivalent(_acknowledge, "POST /alerts/{name}/acknowledge"),
    "recent_events": Equivalent(lambda a: ["events"], "GET /journal"),
    "stop_engine": Equivalent(None, "", "SIGTERM to the engine's process"),
}  # fmt: skip
#: What screens ask beside what an operator asked for: it reads what is in sight, and stands in no log.
BESIDE = frozenset({"status", "checkpoints", "checkpoint", "recent_events", "hold"})


def line_of(method: str, arguments: Sequence[Any], named: dict[str, Any], where: Sequence[str] = ()) -> str:
    """The command line that does what a call does; empty where there is none.

    Args:
        where: options that say which repository or engine is meant.
    """
    known = EQUIVALENTS.get(method)
    if known is None or known.words is None:
        return ""
    bound = inspect.signature(getattr(EngineClient, method)).bind(None, *arguments, **named)
    bound.apply_defaults()
    words = [str(one) for one in known.words(bound.arguments)]
    at = words.index("--") if "--" in words else len(words)
    return shlex.join([PROGRAM, *words[:at], *where, *words[at:]])
