"""A stand-in for the `claude` program, which needs an account: real maos-cli starts it and reads what it prints.

Asked for a decomposition (`claude -p` and no more) it answers with one agent for each of its `TASKS`. With an output
format it is an agent: it begins a transcript as Claude Code does, and works until its time is over.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import uuid
from pathlib import Path

LIFE_S = 60.0


def main() -> None:
    """One call of `claude`."""
    home = Path(os.environ["CLAUDE_CONFIG_DIR"])
    prompt = sys.stdin.read()
    if sys.argv[1:] == ["-p"]:
        tasks = [
            {"id": str(at), "description": one, "agent_type": "developer", "dependencies": []}
            for at, one in enumerate(os.environ["TASKS"].split("|"))
        ]
        analysis = {"user_intent": "", "identified_tasks": [], "complexity": "low", "requires_parallel": True}
        plan = [{"phase": 1, "parallel": True, "tasks": tasks}]
        sys.stdout.write(json.dumps({"analysis": analysis, "execution_plan": plan, "reasoning": "as asked"}))
        return
    if "--output-format" not in sys.argv:
        return
    session = str(uuid.uuid4())
    folder = home / "projects" / re.sub(r"[^0-9A-Za-z]", "-", os.getcwd())
    folder.mkdir(parents=True, exist_ok=True)
    parent = None
    with (folder / f"{session}.jsonl").open("a") as file:
        for role, content in (("user", prompt), ("assistant", "I am at it.")):
            entry: dict[str, object] = {
                "type": role,
                "uuid": str(uuid.uuid4()),
                "parentUuid": parent,
                "cwd": os.getcwd(),
            }
            entry |= {"sessionId": session, "message": {"role": role, "content": content}}
            parent = str(entry["uuid"])
            file.write(json.dumps(entry) + "\n")
    (home / "pids").mkdir(exist_ok=True)
    (home / "pids" / str(os.getpid())).touch()
    time.sleep(LIFE_S)
    sys.stdout.write(json.dumps({"session_id": session, "result": "done", "total_cost_usd": 0.25, "is_error": False}))


if __name__ == "__main__":
    main()
