"""A program whose five managers, MAOS database and transcript keep an invariant across all of them, while it writes.

Every transaction moves an amount from one place to another and notes its number in each: seven places hold the same
number, and what six of them hold adds up to `TOTAL`. Between its steps the program lets others run, so that whoever
looks in the middle of one sees it. The hook waits for the end of a transaction and keeps the next one from beginning.
"""

from __future__ import annotations

import array
import asyncio
import json
import logging
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from maos_ckpt.demo.maos_access import open_persistence
from maos_ckpt.demo.transcripts import transcript_path
from maos_ckpt.operations import checkpoints
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.sources.provider.values import class_name, decode_value
from tests.library.managers import AsyncManager, Manager

TOTAL: Final = 1_000_000
PLACES: Final = ("agents", "memory", "queue", "tasks", "system", "database")
FILLER: Final = 100
SESSION: Final = "4f1d9c1e-6a52-4a38-9b51-0f6c5f1e2d3c"


@dataclass(frozen=True)
class Account:
    number: int
    balance: int


class Agents(Manager):
    types = (Account,)


class Ledger:
    """Begins to write when started. `hold` and `release` are its hooks."""

    def __init__(self, directory: Path, claude_home: Path) -> None:
        self.directory = directory
        self.claude_home = claude_home
        self.random = random.Random(1)
        share = TOTAL // len(PLACES)
        self.balances = dict.fromkeys(PLACES, share)
        self.balances["database"] += TOTAL - share * len(PLACES)
        self.number = 0
        filler = {f"item {at}": {"text": f"number {at} " * 5, "list": list(range(10))} for at in range(FILLER)}
        self.agents, self.memory = Agents(**filler), Manager(**filler)
        self.queue, self.tasks = Manager(**filler), AsyncManager(**filler)
        self.system: dict[Any, Any] = dict(filler)
        self.errors: list[str] = []
        self.gate = threading.Lock()
        self._ready, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._write()), name="ledger")

    @property
    def managers(self) -> dict[str, Any]:
        return {
            "agentManager": self.agents,
            "memoryManager": self.memory,
            "queueManager": self.queue,
            "taskManager": self.tasks,
            "systemManager": self.system,
        }

    def hold(self) -> None:
        self.gate.acquire()

    def release(self) -> None:
        self.gate.release()

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        transcript_path(self.claude_home, str(self.directory), SESSION).parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        assert self._ready.wait(20)

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    async def _write(self) -> None:
        maos = open_persistence(self.directory / "maos.db")
        # Asking for it silences the logging of a whole process.
        logging.disable(logging.NOTSET)
        logging.getLogger("maos").setLevel(logging.CRITICAL)
        await maos.initialize()
        await maos.create_agent("a1", "Ada", "worker", [], {})
        await maos.update_agent_session("a1", SESSION, None)
        try:
            while not self._ending.is_set():
                with self.gate:
                    await self._transact(maos)
                self._ready.set()
                time.sleep(0.002)
        except Exception as error:  # noqa: BLE001 - told to whoever asks for it
            self.errors.append(repr(error))
        finally:
            self._ready.set()
            await maos.close()

    async def _transact(self, maos: Any) -> None:
        self.number += 1
        giver, taker = self.random.sample(PLACES, 2)
        amount = self.random.randrange(self.balances[giver] + 1)
        self.balances[giver] -= amount
        self.balances[taker] += amount
        for place in self.random.sample(PLACES, len(PLACES)):
            await self._put(maos, place, self.number, self.balances[place])
            time.sleep(0.0003)
        line = {"type": "user", "sessionId": SESSION, "number": self.number}
        with transcript_path(self.claude_home, str(self.directory), SESSION).open("a") as file:
            file.write(json.dumps(line) + "\n")

    async def _put(self, maos: Any, place: str, number: int, balance: int) -> None:
        if place == "agents":
            self.agents.state["ledger"] = Account(number, balance)
        elif place == "memory":
            self.memory.state["ledger"] = array.array("q", [number, balance])
        elif place == "queue":
            self.queue.state["ledger"] = (number, {"balance": balance})
        elif place == "tasks":
            self.tasks.state["ledger"] = [number, balance]
        elif place == "system":
            self.system["ledger"] = {"number": number, "balance": balance}
        else:
            await maos.save("ledger", {"number": number, "balance": balance})

    def entries(self) -> dict[str, tuple[int, int]]:
        """(number, balance) of each manager now."""
        found = self.agents.state["ledger"], self.memory.state["ledger"], self.queue.state["ledger"]
        return {
            "agents": (found[0].number, found[0].balance),
            "memory": tuple(found[1]),
            "queue": (found[2][0], found[2][1]["balance"]),
            "tasks": tuple(self.tasks.state["ledger"]),
            "system": (self.system["ledger"]["number"], self.system["ledger"]["balance"]),
        }

    def stored(self, workspace: Workspace, checkpoint: str) -> Mapping[str, tuple[int, int]]:
        """(number, balance) of every place in a checkpoint; of the transcript its last number and 0."""
        found: dict[str, tuple[int, int]] = {"transcript": (0, 0)}
        for one in checkpoints.records(workspace, checkpoint, None, None):
            if one.collection == "transcripts":
                number = json.loads(str(one.values["text"])).get("number", 0)
                found["transcript"] = max(found["transcript"], (number, 0))
            elif one.key == "ledger" and one.collection == "key_value_store":
                document = json.loads(str(one.values["value"]))
                found["database"] = (document["number"], document["balance"])
            elif one.key == "ledger":
                found[one.component] = _entry(one.component, one.values["value"], one.values["form"])
        return found


def _entry(component: str, value: Any, form: Any) -> tuple[int, int]:
    back: Any = decode_value(value, form, component, {class_name(Account): Account})
    if component == "agents":
        return back.number, back.balance
    if component == "queue":
        return back[0], back[1]["balance"]
    if component == "system":
        return back["number"], back["balance"]
    return back[0], back[1]


def broken(entries: Mapping[str, tuple[int, int]]) -> bool:
    """Whether the invariant does not hold."""
    places = set(entries)
    whole = places == {*PLACES, "transcript"}
    return (
        not whole or len({one[0] for one in entries.values()}) != 1 or sum(one[1] for one in entries.values()) != TOTAL
    )
