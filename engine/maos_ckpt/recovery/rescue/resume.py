"""Continuing one agent: which transcript is its conversation, where that is whole, and the command to go on with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from maos_ckpt.codec.values import decode_key, encode_key
from maos_ckpt.errors import ConflictError, NotFoundError
from maos_ckpt.model import Checkpoint, ResumePoint, Selection, Trigger
from maos_ckpt.processes import Processes
from maos_ckpt.recovery.known import nearest_ids
from maos_ckpt.recovery.lookup import Shape, every, lookup
from maos_ckpt.recovery.rescue.conversations import Conversations
from maos_ckpt.recovery.rescue.crew import Crew
from maos_ckpt.recovery.rescue.living import NOBODY
from maos_ckpt.recovery.rescue.tables import text
from maos_ckpt.recovery.touched import TRANSCRIPT_FILES, TRANSCRIPTS, session_name
from maos_ckpt.repository.repository import Repository
from maos_ckpt.sources.maos.claude_processes import ClaudeProcesses, resume_command
from maos_ckpt.sources.maos.layout import Layout
from maos_ckpt.sources.sqlite.faults import describe_process
from maos_ckpt.states import State, StoredState

#: Checkpoints that are looked through for a transcript that is not there any more, the newest first.
CHECKPOINTS_MAX: Final = 200
_AGENTS: Final = ("agents", "agents")


def resume_point(
    repository: Repository, live: State, agent: str, at: Checkpoint | None, layout: Layout, processes: Processes
) -> ResumePoint:
    """Where to continue `agent`: at a checkpoint, or, where that is None, where its transcript was last.

    Raises:
        NotFoundError: no such agent, or no transcript of it; `data["nearest"]`.
        ConflictError: a claude process may be writing to the transcript.
    """
    known = False
    for checkpoint, state in _states(repository, live, at):
        found, there = _transcript(state, agent)
        known = known or there
        if found is None:
            continue
        session, path = found
        _refuse_writer(path, layout, processes)
        command = resume_command(session, str(layout.directory), layout) or ""
        return ResumePoint(agent, session, checkpoint, command, _only(path))
    where = at.id if at is not None else "the live state or the checkpoints looked at"
    what = "has no transcript" if known else "is not"
    nearest = [] if known else nearest_ids("agents", agent, [next(_states(repository, live, at))[1]])
    hint = f"Did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
    raise NotFoundError(
        f"The agent {agent!r} {what} in {where}.",
        kept="Nothing was changed.",
        hint=hint or "`maos-ckpt records latest --component agents` lists the agents and their sessions.",
        name=agent,
        nearest=nearest,
    )


def _only(path: str) -> Selection:
    lines, file = "/".join(TRANSCRIPTS), "/".join(TRANSCRIPT_FILES)
    return Selection(records=(f"{lines}/{path}/*", f"{file}/{path}"))


def _states(repository: Repository, live: State, at: Checkpoint | None) -> Iterator[tuple[str, State]]:
    if at is not None:
        yield at.id, StoredState(repository, at)
        return
    yield "", live
    # Safety checkpoints hold what a recovery wrote over: they come last.
    newest = sorted(repository.checkpoints(), key=lambda one: one.trigger is Trigger.SAFETY)
    for checkpoint in newest[:CHECKPOINTS_MAX]:
        yield checkpoint.id, StoredState(repository, checkpoint)


def _transcript(state: State, agent: str) -> tuple[tuple[str, str] | None, bool]:
    """(session, path) of an agent's transcript, or None; and whether there is such an agent."""
    record = next(lookup(state, _AGENTS, [encode_key((agent,))]), None)
    if record is None:
        return None, False
    descriptor = state.descriptors()[_AGENTS]
    session = text(Shape(descriptor, descriptor.columns, state.get).stored(record).get("session_id"))
    paths = dict(_paths(state))
    if session not in paths and paths:
        session = Conversations(state, Crew(state, NOBODY, lambda: None)).found.get(agent, "")
    return ((session, paths[session]) if session in paths else None), True


def _paths(state: State) -> Iterator[tuple[str, str]]:
    for key, _ in every(state, TRANSCRIPT_FILES):
        (path, *_) = decode_key(key)
        session = session_name(path)
        if isinstance(path, str) and session is not None and path.count("/") == 1:
            yield session, path


def _refuse_writer(path: str, layout: Layout, processes: Processes) -> None:
    try:
        changed_ms = os.stat(layout.projects / path).st_mtime_ns // 1_000_000
    except OSError:
        changed_ms = 0
    writer = ClaudeProcesses(processes, layout).writer_of(os.fsencode(path), changed_ms)
    if writer is not None:
        raise ConflictError(
            f"{describe_process(writer)} may be at this conversation still.",
            kept="Nothing was changed.",
            hint=f"Let it finish, or end it with `kill {writer.pid}`, and try again.",
            pid=writer.pid,
        )
