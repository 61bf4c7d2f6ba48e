"""Times every MAOS call of the sample, counts it, logs it, and keeps every error: nothing MAOS raises is hidden."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO, TypeVar

MAX_KEPT_ERRORS: Final = 10_000

T = TypeVar("T")


class Recorder:
    """Counts and times the calls of one run. Close it to end the operation log."""

    def __init__(self, oplog: Path | None) -> None:
        self.writes = 0
        self.stall_max_s = 0.0
        self.errors: list[dict[str, str]] = []
        self.errors_not_kept = 0
        self.writes_by_op: Counter[str] = Counter()
        self._began_at = datetime.now(UTC)
        self._began_s = time.monotonic()
        self._oplog: TextIO | None = oplog.open("a", buffering=1, encoding="utf-8") if oplog else None

    async def call(self, op: str, awaitable: Awaitable[T], key: str, detail: Mapping[str, object]) -> T | None:
        """Awaits one MAOS call that writes. Returns its result, or None after recording the exception it raised.

        The operation log gets a line once the call has completed; `key` and `detail` say what was written.
        """
        began_s = time.monotonic()
        try:
            result = await awaitable
        except Exception as error:  # noqa: BLE001 — whatever MAOS raises is the finding this sample exists for
            self.note_error(op, error)
            return None
        finally:
            duration_s = time.monotonic() - began_s
            self.stall_max_s = max(self.stall_max_s, duration_s)
        self.writes += 1
        self.writes_by_op[op] += 1
        if self._oplog:
            line = {
                "seq": self.writes,
                "when": _now(),
                "op": op,
                "key": key,
                "duration_s": round(duration_s, 6),
                "result": result,
                "detail": dict(detail),
            }
            self._oplog.write(json.dumps(line, ensure_ascii=False) + "\n")
        return result

    def note_error(self, op: str, error: BaseException) -> None:
        """Keeps one error; beyond MAX_KEPT_ERRORS it is only counted."""
        if len(self.errors) < MAX_KEPT_ERRORS:
            self.errors.append({"when": _now(), "op": op, "message": f"{type(error).__name__}: {error}"})
        else:
            self.errors_not_kept += 1

    def report(self) -> dict[str, object]:
        """What the run did, ready for JSON."""
        return {
            "writes": self.writes,
            "errors": self.errors,
            "errors_not_kept": self.errors_not_kept,
            "stall_max_s": round(self.stall_max_s, 6),
            "writes_by_op": dict(sorted(self.writes_by_op.items())),
            "started_at": self._began_at.isoformat().replace("+00:00", "Z"),
            "ended_at": _now(),
            "duration_s": round(time.monotonic() - self._began_s, 6),
            "pid": os.getpid(),
        }

    def write_report(self, path: Path) -> None:
        """Writes the report so that a reader sees all of it or none."""
        temporary = path.with_name(path.name + ".part")
        temporary.write_text(json.dumps(self.report(), indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)

    def close(self) -> None:
        """Ends the operation log."""
        if self._oplog:
            self._oplog.close()
            self._oplog = None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
