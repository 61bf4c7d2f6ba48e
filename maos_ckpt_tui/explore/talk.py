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
    """The conversation of an agent, a session or a transcript."""
    if thing.transcript:
        return Talk(None, thing.transcript)
    if thing.collection == "sessions":
        return _of_session(client, place, None, thing.key, budget)
    found = read(client, place, thing.pattern, 1, clip=None).entries
    if not found:
        return Talk(None, "", source="absent")
    return _of_session(client, place, found[0], cell(found[0].values, "session_id"), budget)


def _of_session(client: EngineClient, place: str, agent: Entry | None, session: str, budget: Budget) -> Talk:
    """The transcript that bears a session's name, else what MAOS has of the session, or of another of the agent's."""
    if session:
        files = read(client, place, f"memory/transcript_files/*{glob.escape(session)}.jsonl", 1).entries
        if files:
            return Talk(agent, files[0].key)
    found = _session(client, place, session)
    if found is None and agent is not None:
        listed = read(client, place, "memory/sessions/*", _SESSIONS_MAX, clip=100).entries
        own = [one.key for one in listed if cell(one.values, "agent_id") == agent.key]
        found = _session(client, place, own[-1] if own else "")
    if found is None:
        return Talk(agent, "", source="nothing")
    try:
        history = json.loads(cell(found.values, "conversation_history") or "null")
    except (ValueError, RecursionError):
        history = None
    return Talk(agent, "", tuple(history_turns(history, budget)), "session")


def _session(client: EngineClient, place: str, key: str) -> Entry | None:
    found = read(client, place, f"memory/sessions/{glob.escape(key)}", 1, clip=None).entries if key else ()
    return found[0] if found else None


def read_page(client: EngineClient, place: str, file: str, after: str, budget: Budget) -> Page:
    """The next turns of a transcript; a first few, so that there is something to read at once."""
    limit = PAGE_RECORDS if after else FIRST_RECORDS
    page = client.records(place, record=line_pattern(file), after=after, limit=limit)
    return Page(turns(page.records, budget), page.next)
