"""schemathesis over the whole of the API's own description: a real engine, a real MAOS, made-up requests.

`python -m tests.api.hostile --examples 50 --seed 1` runs all phases; the suite runs a short one. Nothing may be
answered with a server error or with something that the description does not tell, invalid requests are refused, and the
MAOS and every checkpoint that was there is as it was.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import Status, events, from_schema

from maos_ckpt.api import guard
from maos_ckpt.model import VerifyLevel
from tests.api.house import House, house, workspace_at
from tests.lab.values import dump_exact

#: A stream does not end by itself; `test_events` is about it.
STREAM = "/events"


@dataclass
class Outcome:
    """What a run found: requests by operation and status, and what was wrong."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)


def attack(place: House, *, examples: int, seed: int, phases: tuple[str, ...], only: str = "", token: str) -> Outcome:
    """Run schemathesis over the description that the API gives of itself.

    Args:
        examples: requests made up for each operation in the fuzzing phase.
        phases: of `examples`, `coverage`, `fuzzing`, `stateful`.
        only: a part of the operations' names.
    """
    known = ("examples", "coverage", "fuzzing", "stateful")
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "generation": {"max-examples": examples, "deterministic": True, "database": "none"},
            "phases": {name: {"enabled": name in phases} for name in known},
            "continue-on-failure": True,
            "request-timeout": 60.0,
            "auth": {"openapi": {"bearer": {"bearer": token}}},
            # What is well-formed may still name a checkpoint that is not there, or ask for two things at odds.
            "checks": {"positive_data_acceptance": {"expected-statuses": ["2XX", 304, 404, 409, 412, 422]}},
        }
    )
    schema = schemathesis.openapi.from_url(
        f"{place.url}/openapi.json", config=config, headers={"authorization": f"Bearer {token}"}
    )
    schema = schema.exclude(path=STREAM)
    if only:
        schema = schema.include(path_regex=only)
    return _watched(from_schema(schema))


def _watched(engine: object) -> Outcome:
    outcome = Outcome()
    for event in engine.execute():  # type: ignore[attr-defined]
        if isinstance(event, events.ScenarioFinished):
            _note(outcome, event)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            outcome.failures.append(f"{getattr(event, 'label', '')}: {getattr(event, 'info', event)}")
    return outcome


def _note(outcome: Outcome, event: events.ScenarioFinished) -> None:
    recorder = event.recorder
    for identity, interaction in recorder.interactions.items():
        outcome.requests += 1
        outcome.operations.add(recorder.label)
        if interaction.response is not None:
            outcome.statuses[interaction.response.status_code] += 1
        for check in recorder.checks.get(identity, []):
            if (
                check.status is Status.FAILURE
                and check.failure_info is not None
                and not _is_moot(check.failure_info.failure)
            ):
                failure = check.failure_info.failure
                request, answer = interaction.request, interaction.response
                text = "" if answer is None else answer.content[:300]
                outcome.failures.append(
                    f"{recorder.label}: {check.name}: {failure.title}: {failure.message[:300]}\n"
                    f"    {request.method} {request.uri} {request.body!r:.300}\n    {text!r}"
                )


def _is_moot(failure: Failure) -> bool:
    """Headers that nobody asked for are ignored, as HTTP has it; only there they count as a refused request."""
    return "in header - object with unexpected properties" in failure.message


@dataclass(frozen=True)
class Before:
    """What must be the same afterwards."""

    state: object
    checkpoints: dict[str, bytes]

    @classmethod
    def of(cls, place: House) -> Before:
        """As it is now."""
        return cls(dump_exact(place.database), {one.id: one.digest for one in place.engine.checkpoints(10_000)})

    def assert_still_so(self, place: House) -> None:
        """The MAOS as it was; every checkpoint that was there is there, and whole."""
        assert dump_exact(place.database) == self.state
        now = {one.id: one.digest for one in place.engine.checkpoints(10_000)}
        assert {name: now.get(name) for name in self.checkpoints} == self.checkpoints
        assert place.engine.verify(list(self.checkpoints), VerifyLevel.FULL).ok


def main() -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.api.hostile", description=__doc__)
    parser.add_argument("--examples", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a regular expression over paths")
    parser.add_argument("--phases", default="examples,coverage,fuzzing,stateful")
    options = parser.parse_args()
    began_s = time.monotonic()
    # That many wrong tokens are refused has tests of its own; here they would hide what comes behind them.
    unbounded = mock.patch.object(guard, "WRONG_TOKENS_MAX", sys.maxsize)
    with unbounded, tempfile.TemporaryDirectory() as root, house(workspace_at(Path(root), 100_000, 10_000)) as place:
        before = Before.of(place)
        outcome = attack(
            place,
            examples=options.examples,
            seed=options.seed,
            phases=tuple(options.phases.split(",")),
            only=options.only,
            token=place.token,
        )
        before.assert_still_so(place)
    seen = Counter(one.partition("\n")[0] for one in outcome.failures)
    for first, count in seen.most_common():
        example = next(one for one in outcome.failures if one.startswith(first))
        sys.stdout.write(f"{count}x {example}\n")
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(outcome.statuses.items()))
    sys.stdout.write(
        f"{outcome.requests} requests at {len(outcome.operations)} operations in {time.monotonic() - began_s:.0f} s;"
        f" statuses {statuses}; {len(outcome.failures)} failures\n"
    )
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
