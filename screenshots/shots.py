"""What is pictured: sizes of every mode's picture, further screens, and the steps of an incident recovered.

Keys are Textual's names; `type:…` types a text, `CONFIRMED` the word that a confirmation asks for. After each group of
keys the screen must say `wait_for` (one of several, where `|` divides them).
"""

from __future__ import annotations

from dataclasses import dataclass

SMALL, NORMAL, WIDE, LARGE = (60, 20), (80, 24), (120, 40), (200, 50)
Size = tuple[int, int]
Keys = tuple[str, ...]
#: Every mode is pictured at these.
MODE_SIZES: tuple[Size, ...] = (SMALL, NORMAL, WIDE, LARGE)
REASON = "an agent went mad and overwrote tasks"
#: Stands for the word that the confirmation asks for.
CONFIRMED = "<word>"


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: keys from the console's start, in groups, each with what it is to lead to."""

    name: str
    steps: tuple[tuple[Keys, str], ...]
    sizes: tuple[Size, ...] = (NORMAL,)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the incident, shown for so long in the animation; left out where the screen does not say `when`."""

    name: str
    keys: Keys
    wait_for: str
    shown_ms: int = 2500
    when: str = ""


_FILTERED: tuple[Keys, str] = (("slash", "type:before the incident", "enter"), "before the incident")
SHOTS: tuple[Shot, ...] = (
    Shot("checkpoint", (_FILTERED, (("enter",), "Components"))),
    Shot("changes", (_FILTERED, (("d",), "changes |change "))),
    Shot("help", ((("question_mark",), "Help"),)),
    Shot("palette", ((("colon", "type:ver"), "Verify|verify"),)),
)

#: From the console's start to a verified recovery. The sample writes all the time, so the plan moves once on the way.
INCIDENT: tuple[Step, ...] = (
    Step("overview", (), "KiB"),
    Step("choose", ("6",), "Looks wrong"),
    Step("select", ("enter",), "plans agent"),
    Step("plan", ("enter",), "safety checkpoint"),
    Step("confirm", ("a",), "to confirm"),
    Step("confirmed", (f"type:{REASON}", "enter", CONFIRMED), "Ready"),
    Step("moved", ("enter",), "moved on|Recovered and verified"),
    Step("recovered", ("a",), "Recovered and verified", 4000, when="moved on"),
)
