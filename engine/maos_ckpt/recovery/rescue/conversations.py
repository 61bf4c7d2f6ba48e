"""Which transcript is which agent's, where MAOS never noted it: by the task that it begins with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from maos_ckpt.codec.values import RawText, decode_key, encode_key
from maos_ckpt.model import Value
from maos_ckpt.recovery.lookup import every, lookup
from maos_ckpt.recovery.rescue.crew import Agent, Crew
from maos_ckpt.recovery.touched import TRANSCRIPT_FILES, TRANSCRIPTS
from maos_ckpt.sources.maos.claude_processes import session_of
from maos_ckpt.sources.maos.prompts import HEAD_LINES, first_prompt
from maos_ckpt.states import State
from maos_ckpt.tree.large import load_row


class Conversations:
    """The transcripts of a state. `sessions`: those that there are. `found`: agent → session, where MAOS noted none
    and one transcript alone begins with its task. `unclear`: agents for whom there are several."""

    def __init__(self, live: State, crew: Crew) -> None:
        paths = list(_paths(live))
        self.sessions = {session for _, session in paths}
        self.found: dict[str, str] = {}
        self.unclear: list[str] = []
        wanting = [one for one in crew.agents.values() if self._is_wanting(one)]
        if not wanting or not paths:
            return
        taken = {one.session for one in crew.agents.values()}
        begun: dict[str, list[str]] = {}
        for session, prompt in _prompts(live, [path for path, session in paths if session not in taken]):
            begun.setdefault(prompt.strip(), []).append(session)
        by_work: dict[str, list[Agent]] = {}
        for agent in wanting:
            by_work.setdefault(agent.work.strip(), []).append(agent)
        for work, agents in by_work.items():
            sessions = begun.get(work, [])
            if len(sessions) == len(agents) == 1:
                self.found[agents[0].id] = sessions[0]
            elif sessions:
                self.unclear += [one.id for one in agents]

    def _is_wanting(self, agent: Agent) -> bool:
        return bool(agent.work.strip()) and agent.session not in self.sessions and not agent.alive


def _paths(live: State) -> Iterator[tuple[str, str]]:
    for key, _ in every(live, TRANSCRIPT_FILES):
        (path, *_) = decode_key(key)
        if isinstance(path, str) and path.count("/") == 1 and (session := session_of(path.encode())) is not None:
            yield path, session


def _prompts(live: State, paths: list[str]) -> Iterator[tuple[str, str]]:
    """(session, first prompt) of each transcript that has one in its first lines."""
    keys = [encode_key((path, number)) for path in paths for number in range(1, HEAD_LINES + 1)]
    for path, lines in groupby(sorted(lookup(live, TRANSCRIPTS, keys)), lambda one: str(decode_key(one[0])[0])):
        prompt = first_prompt(_bytes(load_row(value, live.get)[0]) for _, value in lines)
        if prompt is not None:
            yield str(session_of(path.encode())), prompt


def _bytes(line: Value) -> bytes:
    return bytes(line.data) if isinstance(line, RawText) else str(line).encode("utf-8", "surrogateescape")
