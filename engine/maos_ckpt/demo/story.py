"""What the agents of the sample MAOS say and do: a team that builds a payment service, drawn from a seed.

Sentences are built from templates whose slots take vocabulary, numbers and paths, so that no two turns are alike while
the whole stays the talk of one project.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from maos_ckpt.demo import vocabulary as words

MAX_AGENTS: Final = 200


@dataclass(frozen=True)
class Role:
    """One member of the team: MAOS agent type, name, and what it was asked to do."""

    kind: str
    name: str
    mission: str


TEAM: Final = (
    Role("architect", "Payment architect", "Design the payment intent state machine and write down its invariants"),
    Role("developer", "Ledger developer", "Implement double-entry postings for capture, refund and chargeback"),
    Role("developer", "Gateway developer", "Build the card gateway adapter with idempotency keys and bounded retries"),
    Role("tester", "Contract tester", "Write contract tests for every gateway answer, the malformed ones included"),
    Role(
        "security-auditor", "Card data auditor", "Prove that no card number reaches a log line, a trace or a crash dump"
    ),
    Role("devops", "Release engineer", "Roll the service out behind a flag, with a rehearsed way back"),
    Role("reviewer", "Money reviewer", "Review rounding, currencies and time zones in every change"),
    Role("documenter", "Runbook writer", "Write the on-call runbook for settlement delays and webhook storms"),
    Role("analyst", "Reconciliation analyst", "Explain every cent of difference between the ledger and the bank file"),
    Role("debugger", "Incident debugger", "Find out why two refunds were paid twice last Tuesday"),
    Role("optimizer", "Latency optimizer", "Bring the authorisation path below 120 ms at the 99th percentile"),
    Role("researcher", "Scheme researcher", "Compare the card schemes' rules for partial captures and their deadlines"),
)

_ASKS: Final = (
    "Look at {path} once more: {noun} {verb} the {noun2} {clause}.",
    "Please finish {ticket} before the release branch is cut, and tell {kind} what you changed in {path}.",
    "The {adj} {noun} fails {n} of {m} cases {clause}. Find the cause first, then propose the smallest change.",
    "Add a test that shows that the {noun} {modal}{verb} the {adj} {noun2}.",
    "Why does {path} take {ms} ms {clause}? Measure before you change anything.",
    "{ticket} is reopened: the {noun} {verb} the {noun2} again {clause}.",
)

_ANSWERS: Final = (
    "I read {path} and its callers. The {noun} {modal}{verb} the {adj} {noun2} {clause}, which explains {ticket}.",
    "The change is in {path}:{line}. I kept the {noun} and moved the {noun2} behind a check of the {adj} {noun3}.",
    "Measured over {m} requests: p50 {ms} ms, p99 {ms2} ms. The {noun} is responsible for {n} % of it {clause}.",
    "Two of the {n} failing tests were wrong themselves: they expected the {noun} to {infinitive} {clause}.",
    "I would not merge this yet. The {adj} {noun} {verb} the {noun2}, and nothing in {path} guards against it.",
    "Done: {ticket}. The {noun} now {verb} the {noun2} once, and the retry carries the same key {key}.",
    "Rolled back {commit}: it made the {adj} {noun} {infinitive} {clause}. The old behaviour is covered by a test now.",
    "The ledger and the bank file differ by {cents} minor units on {n} rows. All of them cross the {noun} {clause}.",
    "There are three ways to fix the {noun}. I chose the one that leaves {path} alone, because {kind} depends on it.",
    "No card data found in {m} log lines of {path}. One {adj} {noun} prints a token prefix; reported as {ticket}.",
)

_REASONS: Final = (
    "Next I will check the {noun} {clause}.",
    "This needs the {adj} {noun2} from {kind}; I have asked for it.",
    "The invariant holds: postings of {key} sum to zero in every currency.",
    "Open question for {kind}: may the {noun} {infinitive} {clause}?",
    "Covered by {n} new tests in {path}; the slowest takes {ms} ms.",
    "If this is wrong, commit {commit} can be reverted alone.",
)

_MESSAGES: Final = (
    "{ticket}: the {noun} is ready for you in {path}.",
    "Please do not touch {path} until commit {commit} is in; I am moving the {adj} {noun}.",
    "Found: {noun} {verb} the {noun2} {clause}. Seen {n} times today.",
    "The {adj} {noun} blocks me. Can you take {ticket} first?",
    "Batch {key} reconciled, difference {cents} minor units, all explained.",
    "Discovery: {path}:{line} assumes one currency a merchant. {m} merchants have more.",
    "Tests green on {commit}: {m} passed, {n} skipped with reason.",
    "Error: the {noun} gave up after {n} attempts {clause}; key {key} is parked in the outbox.",
    "Agreed on the {noun}. I will document it beside the {noun2}.",
)

_SUBTASKS: Final = (
    "Cover the {adj} {noun} in {path}",
    "Make the {noun} {infinitive} {clause}",
    "Write down when the {noun} may {infinitive}",
    "Replace the {adj} {noun2} behind {ticket}",
    "Measure the {noun} {clause}",
)

_RESULTS: Final = (
    "{ticket} done in {commit}: {path} changed, {n} tests added. The {noun} {modal}{verb} the {noun2}.",
    "Confirmed {clause}: {m} of {m} cases pass. Left alone: the {adj} {noun}, see {ticket}.",
    "Root cause: the {noun} {verb} the {noun2} {clause}. Fixed at {path}:{line}.",
)


class Story:
    """A seeded author. Every method draws on; nothing is kept, so it never grows."""

    def __init__(self, seed: str) -> None:
        self.rng = random.Random(f"maos demo story {seed}")

    def roles(self, count: int) -> list[Role]:
        """The first `count` members of the team; beyond twelve they are numbered. Raises ValueError out of range."""
        if not 1 <= count <= MAX_AGENTS:
            raise ValueError(f"{count} agents asked for; 1 to {MAX_AGENTS} are possible")
        team: list[Role] = []
        for position in range(count):
            role, shift = TEAM[position % len(TEAM)], position // len(TEAM)
            if shift:
                mission = f"{role.mission} ({self.rng.choice(words.STEMS)} stream)"
                role = Role(role.kind, f"{role.name} {shift + 1}", mission)
            team.append(role)
        return team

    def agent_id(self, kind: str) -> str:
        """An id in MAOS's form: type, dash, eight hexadecimal digits."""
        return f"{kind}-{self.rng.getrandbits(32):08x}"

    def uuid(self) -> str:
        """A random UUID of the seeded source."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def request(self) -> str:
        """What the operator asked the whole swarm for."""
        return self.rng.choice(words.REQUESTS)

    def ask(self) -> str:
        """A turn of the operator or of MAOS."""
        return self._fill(_ASKS)

    def answer(self) -> str:
        """A turn of an agent: one to five sentences, with a few lines of code now and then."""
        parts = [self._fill(_ANSWERS)] + [self._fill(_REASONS) for _ in range(self.rng.randrange(4))]
        text = " ".join(parts)
        return f"{text}\n\n{self.code()}" if self.rng.random() < 0.2 else text

    def message(self) -> str:
        """A message from agent to agent."""
        return self._fill(_MESSAGES)

    def subtask(self) -> str:
        """The description of a small task."""
        return self._fill(_SUBTASKS)

    def result(self) -> str:
        """What a finished task gives back; MAOS keeps 500 characters of it."""
        return self._fill(_RESULTS)[:500]

    def path(self) -> str:
        """A file of the project."""
        stems = f"{self.rng.choice(words.STEMS)}_{self.rng.choice(words.STEMS)}"
        return f"{self.rng.choice(words.DIRECTORIES)}/{stems}{self.rng.choice(words.SUFFIXES)}"

    def code(self) -> str:
        """A short function in a fenced block."""
        name, other = self.rng.choice(words.STEMS), self.rng.choice(words.STEMS)
        limit = self.rng.randrange(100, 50_000)
        return (
            f"```python\ndef {name}_{other}(amount_minor: int, key: str) -> Posting:\n"
            f"    if amount_minor > {limit}:\n        raise LimitExceeded(key, {limit})\n"
            f'    return post("{other}", amount_minor, key=f"{name}:{{key}}")\n```'
        )

    def vector(self, dimensions: int) -> list[float]:
        """An embedding: `dimensions` floats around zero."""
        return [round(self.rng.gauss(0, 0.05), 8) for _ in range(dimensions)]

    def _fill(self, templates: Sequence[str]) -> str:
        rng = self.rng
        verb = rng.choice(words.VERBS)
        text = rng.choice(templates).format(
            adj=rng.choice(words.ADJECTIVES),
            noun=rng.choice(words.NOUNS),
            noun2=rng.choice(words.NOUNS),
            noun3=rng.choice(words.NOUNS),
            verb=verb,
            infinitive=_infinitive(verb),
            modal=rng.choice(words.MODALS),
            clause=rng.choice(words.CLAUSES),
            path=self.path(),
            kind=f"the {rng.choice(words.AGENT_TYPES)}",
            ticket=f"{rng.choice(('PAY', 'LED', 'RISK', 'OPS'))}-{rng.randrange(100, 9_999)}",
            line=rng.randrange(3, 700),
            n=rng.randrange(2, 40),
            m=rng.randrange(41, 9_000),
            ms=rng.randrange(20, 900) / 10,
            ms2=rng.randrange(900, 9_000) / 10,
            cents=rng.randrange(1, 99_999),
            commit=f"{rng.getrandbits(36):09x}",
            key=f"idem_{rng.getrandbits(40):010x}",
        )
        return text[0].upper() + text[1:]


def _infinitive(verb: str) -> str:
    if verb == "caches":  # the one verb of the list whose stem ends in -che
        return "cache"
    for ending, stem in (("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("ies", "y"), ("s", "")):
        if verb.endswith(ending):
            return verb.removesuffix(ending) + stem
    return verb
