"""Which agents an incident's signs point at, so that one of them can be recovered alone."""

from __future__ import annotations

import glob
import json
from collections import Counter
from dataclasses import dataclass

from maos_ckpt.client import EngineClient
from maos_ckpt.errors import CkptError
from maos_ckpt.model import Incident, Sign
from maos_ckpt.model.contents import ShownRecord

AGENTS = ("agents", "agents")
#: Agents whose sessions are looked at; of more, only these.
AGENTS_READ_MAX = 5000
_PAGE = 1000
SUSPECTS_MAX = 3
_LOOKED_UP, _LOOKED_UP_MAX = ("tasks", "messages"), 4
#: Columns of tasks and messages that name an agent.
_NAMING = ("assigned_agents", "from_agent")
_WORDS = {
    "failed": "its {collection} turned {detail}",
    "removed": "its {collection} are gone",
    "rewritten": "the {detail} of its {collection} was rewritten",
    "turns lost": "its conversation lost turns",
    "lines lost": "its transcript lost lines",
    "errors reported": "it reports errors",
}


@dataclass(frozen=True, slots=True)
class Suspect:
    """An agent, and what speaks against it in a few words; both untrusted."""

    agent: str
    why: str


def find_suspects(client: EngineClient, checkpoint: str, incident: Incident | None) -> tuple[Suspect, ...]:
    """The agents that the signs name most often, at most `SUSPECTS_MAX`; none where the engine cannot tell. Blocks."""
    if incident is None:
        return ()
    try:
        return _found(client, checkpoint, incident)
    except CkptError:
        return ()  # A suggestion less; every agent can still be chosen.


def _found(client: EngineClient, checkpoint: str, incident: Incident) -> tuple[Suspect, ...]:
    sessions, agents = _agents(client, checkpoint)
    told: list[tuple[str, Sign]] = []
    for sign in incident.signs:
        for example in sign.examples:
            if sign.collection == "agents" and example in agents:
                told.append((example, sign))
            elif sign.collection not in _LOOKED_UP:
                parts = example.removesuffix(".jsonl").split("/")
                told += [(sessions[one], sign) for one in parts if one in sessions]
    if not told:
        told = _looked_up(client, checkpoint, incident, agents)
    score, why = Counter[str](), dict[str, list[str]]()
    for agent, sign in told:
        score[agent] += 1
        words = _WORDS.get(sign.what, sign.what).format(detail=sign.detail, collection=sign.collection)
        if sign.collection == "agents":
            words = f"it {sign.what}" if sign.what != "failed" else f"it turned {sign.detail}"
        if words not in why.setdefault(agent, []):
            why[agent].append(words)
    # What several signs speak of weighs more than what one says three times.
    ranked = sorted(score, key=lambda agent: (-len(why[agent]), -score[agent], agent))
    return tuple(Suspect(agent, ", ".join(why[agent])) for agent in ranked[:SUSPECTS_MAX])


def _looked_up(
    client: EngineClient, checkpoint: str, incident: Incident, agents: frozenset[str]
) -> list[tuple[str, Sign]]:
    """Whom damaged tasks and messages name; each takes the engine a call of its own."""
    pairs = [(sign, key) for sign in incident.signs if sign.collection in _LOOKED_UP for key in sign.examples]
    return [
        (agent, sign)
        for sign, key in pairs[:_LOOKED_UP_MAX]
        for agent in _named_by(client, checkpoint, sign, key) & agents
    ]


def _agents(client: EngineClient, checkpoint: str) -> tuple[dict[str, str], frozenset[str]]:
    sessions, agents, after = dict[str, str](), set[str](), ""
    for _ in range(AGENTS_READ_MAX // _PAGE):
        page = client.records(checkpoint, component=AGENTS[0], record=f"{'/'.join(AGENTS)}/*", after=after, limit=_PAGE)
        for one in page.records:
            agents.add(one.key)
            if isinstance(session := _values(one).get("session_id"), str):
                sessions[session] = one.key
        if not (after := page.next):
            break
    return sessions, frozenset(agents)


def _named_by(client: EngineClient, checkpoint: str, sign: Sign, key: str) -> frozenset[str]:
    record = f"{sign.component}/{sign.collection}/{glob.escape(key)}"
    found: set[str] = set()
    for one in client.records(checkpoint, component=sign.component, record=record, limit=1).records:
        values = _values(one)
        for column in _NAMING:
            found |= _texts(values.get(column))
    # A task of a whole team says nothing about one of them.
    return frozenset(found) if len(found) == 1 else frozenset()


def _texts(value: object) -> set[str]:
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return set()
    if isinstance(value, str):
        return {value}
    return {one for one in value if isinstance(one, str)} if isinstance(value, list) else set()


def _values(record: ShownRecord) -> dict[str, object]:
    try:
        values = json.loads(record.values_json)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
