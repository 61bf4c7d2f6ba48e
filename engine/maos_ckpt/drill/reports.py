"""The drills that were held: a bounded number of reports, each as JSON and as Markdown, and what they tell together."""

from __future__ import annotations

import logging
import os
import statistics
from dataclasses import dataclass
from pathlib import Path

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.drill.evidence import markdown
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.model.drills import DrillHistory, DrillReport, DrillScenario, DrillStatus, ScenarioTrend
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
#: Where reports lie in a repository; its local side alone, never replicated.
DIRECTORY = "drills"
#: Older reports go.
REPORTS_MAX = 100
#: Drills that a trend looks back on.
TREND_MAX = 20
_REPORT_BYTES_MAX = 4 << 20
_PREFIX = "dr_"
_HOUR_S = 3600.0
#: A scheduled drill is overdue when the last one is so many intervals ago.
_OVERDUE_INTERVALS = 1.5


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often drills are to be held (0: never), and of which scenarios."""

    interval_hours: float = 0.0
    scenarios: frozenset[str] = frozenset(DrillScenario)


class Reports:
    """The reports of one repository. Cheap to ask for `status` every second."""

    def __init__(self, repository: Path, seams: Seams) -> None:
        self.directory = repository / DIRECTORY
        self._seams = seams
        self._seen: tuple[int, list[DrillReport]] = (-1, [])

    def store(self, report: DrillReport) -> bytes:
        """Keep a report durably, as `ID.json` and `ID.md`; returns the JSON. The oldest beyond `REPORTS_MAX` go.

        Raises:
            StorageError, PermissionRefusedError: it cannot be written.
        """
        data = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
        try:
            self.directory.mkdir(mode=0o700, exist_ok=True)
            self._write(self.directory / f"{report.id}.md", markdown(report).encode())
            self._write(self.directory / f"{report.id}.json", data)
            for name in self._names()[REPORTS_MAX:]:
                for path in (self.directory / f"{name}.json", self.directory / f"{name}.md"):
                    self._seams.fs.unlink(path)
        except OSError as error:
            raise_storage_error(error, error.filename or self.directory)
        return data

    def _write(self, path: Path, data: bytes) -> None:
        fs, temporary = self._seams.fs, path.with_name(f".{path.name}.{self._seams.random.token(4).hex()}")
        fd = fs.create(temporary)
        try:
            fs.write(fd, data)
            fs.sync(fd)
        finally:
            fs.close(fd)
        fs.publish(temporary, path, replace=True)

    def _names(self) -> list[str]:
        """Ids of the reports, newest first: an id begins with its time."""
        try:
            found = [one.name for one in os.scandir(self.directory)]
        except OSError:
            return []
        return sorted((one[:-5] for one in found if one.startswith(_PREFIX) and one.endswith(".json")), reverse=True)

    def newest(self, limit: int) -> list[DrillReport]:
        """The last reports, newest first; one that cannot be read is passed over, with a word in the log."""
        reports: list[DrillReport] = []
        for name in self._names():
            if len(reports) >= limit:
                break
            try:
                with (self.directory / f"{name}.json").open("rb") as file:
                    reports.append(msgspec.json.decode(file.read(_REPORT_BYTES_MAX), type=DrillReport))
            except (OSError, *UNDECODABLE) as error:
                _LOG.warning("the report %s cannot be read: %s", name, error)
        return reports

    def _recent(self) -> list[DrillReport]:
        """The last `TREND_MAX` reports, read again where there are others than before."""
        try:
            changed_ns = os.stat(self.directory).st_mtime_ns
        except OSError:
            return []
        if changed_ns != self._seen[0]:
            self._seen = changed_ns, self.newest(TREND_MAX)
        return self._seen[1]

    def status(self, schedule: Schedule) -> DrillStatus:
        """How drills stand now."""
        held = [one for one in self._recent() if any(result.applicable for result in one.scenarios)]
        interval_s = schedule.interval_hours * _HOUR_S
        if not held:
            return DrillStatus("never" if interval_s else "off", interval_s)
        last, failed = held[0], _failed(held)
        complete = [one for one in held if schedule.scenarios <= {result.scenario for result in one.scenarios}]
        complete_ms = complete[0].started_at_ms if complete else None
        age_s = (self._seams.clock.now_ms() - (complete_ms or 0)) / 1000
        overdue = bool(interval_s) and age_s > interval_s * _OVERDUE_INTERVALS
        return DrillStatus(
            state="failed" if failed else "overdue" if overdue else "passed",
            interval_s=interval_s,
            last_at_ms=last.started_at_ms,
            complete_at_ms=complete_ms,
            rto_s=last.rto_s,
            rpo_s=last.rpo_s,
            failed=failed,
            evidence=last.evidence,
        )

    def history(self, limit: int, schedule: Schedule) -> DrillHistory:
        """The last drills with the trend of each scenario."""
        reports = self.newest(max(limit, TREND_MAX))
        trends = tuple(trend(one, reports) for one in DrillScenario)
        return DrillHistory(tuple(reports[:limit]), trends, self.status(schedule))


def _failed(reports: list[DrillReport]) -> tuple[str, ...]:
    """The scenarios that did not pass when they last applied."""
    last = {one.scenario: one for report in reversed(reports) for one in report.scenarios if one.applicable}
    return tuple(one.value for one in DrillScenario if one in last and not last[one].passed)


def trend(scenario: DrillScenario, reports: list[DrillReport]) -> ScenarioTrend:
    """How a scenario did in the last `TREND_MAX` of these reports that it applied to."""
    results = [one for report in reports for one in report.scenarios if one.scenario == scenario and one.applicable]
    results = results[:TREND_MAX]
    times_s = tuple(one.rto_s for one in results if one.rto_s is not None)
    return ScenarioTrend(
        scenario.value,
        runs=len(results),
        passed=sum(one.passed for one in results),
        rtos_s=times_s,
        rto_median_s=round(statistics.median(times_s), 3) if times_s else None,
        rto_worst_s=max(times_s, default=None),
    )
