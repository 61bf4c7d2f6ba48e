"""ps: every live MAOS of this machine."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import clip, count, moment, name, rfc3339
from maos_ckpt.errors import ExitCode
from maos_ckpt.model import AgentProcess, MaosProcess, ProcessReport
from maos_ckpt.sources.maos.running import find_running


def ps(context: Context) -> int:
    """`maos-ckpt ps`: needs neither a repository nor a MAOS in the working directory."""
    claude_home = Path(context.settings.config.claude_home or "~/.claude").expanduser()
    return tell_processes(context, find_running(context.seams, claude_home))


def tell_processes(context: Context, report: ProcessReport) -> int:
    """Every live MAOS, and orphans."""
    if context.out.as_json:
        context.out.document(
            {
                "processes": [{**_shape(one), "children": list(map(_shape, one.children))} for one in report.maos],
                "orphans": list(map(_shape, report.orphans)),
                "notes": list(report.notes),
            }
        )
        return ExitCode.DONE
    now_ms = context.seams.clock.now_ms()
    lines = [line for one in report.maos for line in _maos_lines(one, now_ms)]
    if report.orphans:
        lines.append(f"{count(len(report.orphans), 'orphan')}: agents' processes whose MAOS is gone")
        lines += [_agent_line(one, now_ms, directory=True) for one in report.orphans]
    context.out.lines(lines or ["No live MAOS was found."])
    for note in report.notes:
        context.out.notice(f"note: {clip(note, 500)}")
    return ExitCode.DONE


def _shape(one: MaosProcess | AgentProcess) -> dict[str, object]:
    shape = asdict(one)
    since_ms = shape.pop("since_ms")
    return {**{key: None if value == "" else value for key, value in shape.items()}, "since": rfc3339(since_ms)}


def _maos_lines(one: MaosProcess, now_ms: int) -> list[str]:
    state = "" if one.database_state == "open" else f", {one.database_state.upper()}"
    agents = ", ".join(f"{number:,} {clip(status, 20) or 'without status'}" for status, number in one.agents.items())
    stopped = ", stopped" if one.stopped else ""
    user = "" if one.user in (None, os.geteuid()) else f", user {one.user}"
    lines = [
        f"{clip(one.command, 80)}{user}{stopped}, since {moment(one.since_ms, now_ms)}",
        f"    directory  {name(one.directory)}",
        f"    database   {name(one.database)}{state}",
        f"    agents     {agents or one.problem or 'none'}",
    ]
    lines += [_agent_line(child, now_ms) for child in one.children]
    lines += [f"    writes to  {name(path)}" for path in one.open_files]
    return lines


def _agent_line(one: AgentProcess, now_ms: int, *, directory: bool = False) -> str:
    known = f"agent {clip(one.agent)} (by its {one.known_by})" if one.agent else "agent not known"
    session = f", session {clip(one.session)}" if one.session else ""
    where = f", in {name(one.directory)}" if directory else ""
    return f"    {clip(one.command, 40)}: {known}{session}{where}, since {moment(one.since_ms, now_ms)}"
