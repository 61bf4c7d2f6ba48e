"""Finding an agent's conversation in a state, and reading it page by page."""

from __future__ import annotations

import glob
import json
from dataclasses import dataclass

from maos_ckpt.client import EngineClient
from maos_ckpt_tui.explore.conversation import Budget, Turn, history_turns, turns
from maos_ckpt_tui.explore.reading import PAGE_RECORDS, Entry, cell, read
from maos_ckpt_tui.explore.things import Thing, line_pattern

#: Sessions that are looked through for an agent's, where its own field leads nowhere.
_SESSIONS_MAX = 5000
FIRST_RECORDS = 100


@dataclass(frozen=True, slots=True)
class Talk:
    """What is known before the first line: the agent's record, where it is one, and the transcript's file, "" where
    there is none; `turns` are then those of the session, and `source` says so."""

    agent: Entry | None
    file: str
    turns: tuple[Turn, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Some more turns; `next` is where the ones behind them begin, "" at the end."""

    turns: list[Turn]
    next: str


def find_talk(client: EngineClient, place: str, thing: Thing, budget: Budget) -> Talk:
    """The conversation of an agent or transcript."""
    if thing.transcript:
        return Talk(None, thing.transcript)
    found = read(client, place, thing.pattern, 1, clip=None).entries
    if not found:
        return Talk(None, "", source="absent")
    agent = found[0]
    session = cell(agent.values, "session_id")
    if session:
        pattern = f"memory/transcript_files/*{glob.escape(session)}.jsonl"
        files = read(client, place, pattern, 1).entries
        if files:
            return Talk(agent, files[0].key)
    return _from_session(client, place, agent, session, budget)


def _from_session(client: EngineClient, place: str, agent: Entry, session: str, budget: Budget) -> Talk:
    found = read(client, place, f"memory/sessions/{glob.escape(session)}", 1, clip=None).entries if session else ()
    if not found:
        of_agent = read(client, place, "memory/sessions/*", _SESSIONS_MAX, clip=100).entries
        own = [one for one in of_agent if cell(one.values, "agent_id") == agent.key]
        found = read(client, place, f"memory/sessions/{glob.escape(own[-1].key)}", 1, clip=None).entries if own else ()
    if not found:
        return Talk(agent, "", source="nothing")
    try:
        history = json.loads(cell(found[0].values, "conversation_history") or "null")
    except (ValueError, RecursionError):
        history = None
    return Talk(agent, "", tuple(history_turns(history, budget)), "session")


def read_page(client: EngineClient, place: str, file: str, after: str, budget: Budget) -> Page:
    """The next turns of a transcript; a first few, so that there is something to read at once."""
    limit = PAGE_RECORDS if after else FIRST_RECORDS
    page = client.records(place, record=line_pattern(file), after=after, limit=limit)
    return Page(turns(page.records, budget), page.next)
