"""The metrics as a file: JSON as `maos-ckpt metrics --json` prints it, or its trends as CSV."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

from maos_ckpt.model.metrics import MetricsReport
from maos_ckpt.times import rfc3339
from maos_ckpt_tui.trends import series

JSON, CSV = "json", "csv"


def as_json(report: MetricsReport) -> str:
    """What `maos-ckpt metrics --hours N --json` says."""
    from maos_ckpt.cli.commands.metrics import document  # Loaded when first needed.

    return json.dumps(document(report), indent=2) + "\n"


def as_csv(report: MetricsReport) -> str:
    """One line for each bucket: when it begins, and of each figure the value and of how many events it is. Durations
    in seconds, sizes in bytes; empty where nothing was measured."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    found = series(report)
    writer.writerow(["at", *(name for one in found for name in (one.name, f"{one.name}_count"))])
    for index, first in enumerate(found[0].points):
        values = [value for one in found for value in (one.points[index].value, one.points[index].count)]
        writer.writerow([rfc3339(first.at_ms), *("" if value is None else value for value in values)])
    return text.getvalue()


def file_name(report: MetricsReport, now_ms: int, kind: str) -> str:
    """`maos-ckpt-metrics-24h-20261123T091442Z.json`."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return f"maos-ckpt-metrics-{report.hours}h-{moment:%Y%m%dT%H%M%SZ}.{kind}"
