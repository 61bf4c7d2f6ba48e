"""The closed registry of scenarios: what plays each, and where it does not apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from maos_ckpt.drill.interruption import interrupted_recovery
from maos_ckpt.drill.losses import full_loss, lost_machine
from maos_ckpt.drill.origin import Origin
from maos_ckpt.drill.parts import component_corrupted, mad_agent
from maos_ckpt.drill.stage import Stage
from maos_ckpt.drill.storage import damaged_repository, s3_away, wrong_key
from maos_ckpt.model.drills import DrillScenario

#: Plays a scenario on a stage, and leaves its assertions there.
Play = Callable[[Stage], None]
#: Why a scenario does not apply, or "".
Missing = Callable[[Origin], str]


#: Where an agent's records are.
_OF_AGENTS = ("agents/agents", "tasks/tasks", "queue/messages", "memory/sessions")


def _nothing(_: Origin) -> str:
    return ""


def _no_bucket(origin: Origin) -> str:
    return "" if origin.remote is not None else "no S3 bucket is configured (storage.s3.bucket)"


def _no_other_tier(origin: Origin) -> str:
    why = _no_bucket(origin)
    return f"{why}, so there is no other tier to mend it from" if why else ""


def _no_key(origin: Origin) -> str:
    return "" if origin.master is not None else "the repository is not encrypted"


def _no_agents(origin: Origin) -> str:
    if not origin.checkpoint.source.startswith("maos:"):
        return "a plain database has no agents"
    records = {one.path: one.records for one in origin.checkpoint.collections}
    lacking = [one for one in _OF_AGENTS if one not in records]
    if lacking:
        return f"the checkpoint has no {', '.join(lacking)}"
    return "" if records[_OF_AGENTS[0]] else "there is no agent in the checkpoint"


def _no_database(origin: Origin) -> str:
    tables = [one for one in origin.checkpoint.collections if one.name == "schema" and one.records]
    return "" if tables else "there is no database in the checkpoint"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. `from_base`: it begins with a recovered copy of the checkpoint."""

    play: Play
    missing: Missing = _nothing
    from_base: bool = True


SCENARIOS: dict[DrillScenario, Scenario] = {
    DrillScenario.FULL_LOSS: Scenario(full_loss),
    DrillScenario.COMPONENT_CORRUPTED: Scenario(component_corrupted, _no_database),
    DrillScenario.MAD_AGENT: Scenario(mad_agent, _no_agents),
    DrillScenario.DAMAGED_REPOSITORY: Scenario(damaged_repository, _no_other_tier),
    DrillScenario.S3_AWAY: Scenario(s3_away, _no_bucket),
    DrillScenario.LOST_MACHINE: Scenario(lost_machine, _no_bucket, from_base=False),
    DrillScenario.WRONG_KEY: Scenario(wrong_key, _no_key),
    DrillScenario.INTERRUPTED_RECOVERY: Scenario(interrupted_recovery, _no_database),
}
